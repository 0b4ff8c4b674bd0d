import pytest

from service.domain import identity
from service.errors import RequestInvalid


@pytest.mark.verifies("REQ-INF-020")
def test_a_model_may_be_named_without_a_version():
    assert identity.model_reference("ct-lesion-demo") == identity.ModelReference(name="ct-lesion-demo", version=None)


@pytest.mark.verifies("REQ-INF-020")
def test_a_model_may_be_named_with_its_version():
    assert identity.model_reference("a.b_c@1.10.0") == identity.ModelReference(name="a.b_c", version="1.10.0")


@pytest.mark.verifies("REQ-INF-020")
@pytest.mark.parametrize(
    "text", ["", "@1", "a@", "a@latest", "a@1.", "../a", "a b", "a@1@2", "a" * 65, "a\n", "a@1.2.3.4.5"]
)
def test_any_other_model_reference_is_refused(text):
    with pytest.raises(RequestInvalid):
        identity.model_reference(text)


@pytest.mark.verifies("REQ-INF-020")
def test_versions_are_ordered_by_their_numbers():
    assert sorted(["1.10", "1.9.3", "2", "1.9"], key=identity.version_order) == ["1.9", "1.9.3", "1.10", "2"]


def test_a_version_does_not_change_by_trailing_zeros():
    assert identity.version_order("1.0.0") == identity.version_order("1")
