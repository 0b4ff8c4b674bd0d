"""Settings: read from the environment, bounded, and refused where they are not known."""

import pytest

from service import settings
from service.errors import SettingInvalid
from service.http.policy import Policy


@pytest.mark.verifies("REQ-DEP-005")
def test_without_an_environment_the_defaults_hold():
    assert settings.read({}) == settings.Settings()


def test_a_variable_is_read_as_its_members_type():
    assert settings.read({"MEDAI_MAX_ADMITTED": "7"}).max_admitted == 7


def test_an_empty_variable_is_as_if_it_were_not_there():
    assert settings.read({"MEDAI_PORT": ""}).port == 8080


@pytest.mark.verifies("REQ-DEP-005")
def test_an_unknown_variable_is_refused_by_name():
    with pytest.raises(SettingInvalid, match="MEDAI_MAX_PIXLES"):
        settings.read({"MEDAI_MAX_PIXLES": "1"})


def test_variables_of_others_are_nobodys_business():
    assert settings.read({"PATH": "/bin", "OTHER_MEDAI_X": "1"}) == settings.Settings()


@pytest.mark.parametrize("name", ["MEDAI_HOME", "MEDAI_DATABASE_URL", "MEDAI_LEDGER_LINGER_US", "MEDAI_TEST_VECTORS"])
def test_the_ledgers_and_the_tests_variables_are_known(name):
    assert settings.read({name: "1"}) == settings.Settings()


@pytest.mark.verifies("REQ-DEP-005")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDAI_PORT", "http"),
        ("MEDAI_PORT", "65536"),
        ("MEDAI_MAX_PIXELS", "0"),
        ("MEDAI_WORKERS", "1.5"),
        ("MEDAI_OPTIMIZATION", "most"),
        ("MEDAI_COMMIT", "a b"),
    ],
)
def test_a_value_outside_its_bounds_is_refused_by_the_variables_name(name, value):
    with pytest.raises(SettingInvalid, match=f"^{name}: "):
        settings.read({name: value})


@pytest.mark.parametrize("value", ["10.0.0.0/8,fd00::/8", " 10.0.0.1 ", ""])
def test_trusted_proxies_are_networks_by_commas(value):
    read = settings.read({"MEDAI_TRUSTED_PROXIES": value})
    assert len(settings.proxies(read)) == len([part for part in value.split(",") if part.strip()])


def test_a_trusted_proxy_that_is_no_network_is_refused():
    with pytest.raises(SettingInvalid, match="MEDAI_TRUSTED_PROXIES"):
        settings.read({"MEDAI_TRUSTED_PROXIES": "ingress.example"})


def test_the_command_line_wins_over_the_environment():
    read = settings.read({"MEDAI_PORT": "1"})
    assert settings.replaced(read, port=2).port == 2


@pytest.mark.verifies("REQ-DEP-005")
def test_the_command_line_is_bounded_as_well():
    with pytest.raises(SettingInvalid, match="MEDAI_WORKERS"):
        settings.replaced(settings.Settings(), workers=0)


def test_every_setting_says_what_it_is_for():
    assert [row.variable for row in settings.table() if not row.description] == []


def test_every_bound_of_the_http_edge_is_a_setting_with_the_same_default():
    shared = {name for name in Policy.__struct_fields__ if hasattr(settings.Settings(), name)}
    assert set(Policy.__struct_fields__) - shared == {"retry_after_s", "linger_ms"}
    differing = [
        name for name in shared - {"trusted_proxies"} if getattr(Policy(), name) != getattr(settings.Settings(), name)
    ]
    assert differing == []
