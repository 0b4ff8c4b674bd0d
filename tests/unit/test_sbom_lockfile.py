import pytest

from sbom import lockfile
from sbom.errors import LockInvalid

ONE = "a" * 64
TWO = "b" * 64
LOCK = f"""\
# a comment of the lock's own
Some.Name==1.2.3 \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via
    #   medai-flow (pyproject.toml)
other==4.0 ; python_version < "4" \\
    --hash=sha256:{ONE}
"""


@pytest.mark.verifies("REQ-DEP-002")
def test_a_pin_has_a_normalised_name_a_version_and_every_hash():
    assert lockfile.parse(LOCK)[0] == lockfile.Pin(name="some-name", version="1.2.3", sha256=frozenset({ONE, TWO}))


def test_a_marker_is_kept_beside_its_pin():
    assert lockfile.parse(LOCK)[1].marker == 'python_version < "4"'


def test_pins_come_in_the_order_of_the_lock():
    assert [pin.name for pin in lockfile.parse(LOCK)] == ["some-name", "other"]


@pytest.mark.verifies("REQ-DEP-002")
@pytest.mark.parametrize(
    "line",
    [
        "name==1.0",
        f"name>=1.0 --hash=sha256:{ONE}",
        f"name --hash=sha256:{ONE}",
        "name==1.0 --hash=sha256:abc",
        f"name==1.0 --hash=md5:{ONE[:32]}",
        f"name @ file:///x.whl --hash=sha256:{ONE}",
        "--index-url elsewhere",
        "--find-links elsewhere",
        "-r other.lock",
        "-e .",
    ],
)
def test_a_line_that_is_no_pinned_and_hashed_requirement_is_refused(line):
    with pytest.raises(LockInvalid, match="line 1"):
        lockfile.parse(line + "\n")


@pytest.mark.verifies("REQ-DEP-002")
def test_the_same_distribution_spelt_two_ways_is_refused():
    with pytest.raises(LockInvalid, match="second time"):
        lockfile.parse(f"a-b==1 --hash=sha256:{ONE}\nA_B==1 --hash=sha256:{ONE}\n")


@pytest.mark.verifies("REQ-DEP-002")
def test_a_lock_cut_in_the_middle_of_a_requirement_is_refused():
    with pytest.raises(LockInvalid, match="ends in the middle"):
        lockfile.parse("name==1.0 \\\n")


def test_the_refusal_names_the_line_that_the_requirement_begins_at():
    with pytest.raises(LockInvalid, match="line 3"):
        lockfile.parse(f"# one\nname==1 --hash=sha256:{ONE}\nbad \\\n  --hash=sha256:{ONE}\n")
