"""The ledger's settings: defaults without any, and a variable that cannot be obeyed is refused with its name."""

import pytest

from audit import settings
from audit.errors import SettingInvalid

pytestmark = pytest.mark.verifies("REQ-DEP-005")


def test_without_an_environment_the_ledgers_defaults_hold():
    assert settings.ledger_settings({}) == settings.LedgerSettings()


def test_a_variable_of_the_ledger_is_read_as_its_members_type():
    assert settings.ledger_settings({"MEDAI_LEDGER_LINGER_US": "7", "PATH": "/bin"}).linger_us == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("LINGER_US", "100001"), ("LINGER_US", "-1"), ("LINGER_US", "soon"), ("MAX_BATCH_RECORDS", "0"),
     ("ANCHOR_INTERVAL_MS", "1001"), ("ANCHOR_INTERVAL_MS", "9"), ("LINGER", "1")],
)  # fmt: skip
def test_a_value_or_a_name_that_cannot_be_obeyed_is_refused(name, value):
    with pytest.raises(SettingInvalid, match=name.lower() if name != "LINGER" else "linger"):
        settings.ledger_settings({f"MEDAI_LEDGER_{name}": value})
