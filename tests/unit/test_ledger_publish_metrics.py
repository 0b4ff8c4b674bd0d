"""What operators see of publishing: sizes, times and failures, by anchor and by witness."""

import pytest

from service.adapters.telemetry import Telemetry


@pytest.fixture
def shown():
    """Tells a new telemetry something, and gives the lines of `medai_` numbers that begin with a name."""

    def lines(name, tell):
        telemetry = Telemetry()
        tell(telemetry)
        return [line for line in telemetry.exposition().decode().splitlines() if line.startswith(name)]

    return lines


def test_the_size_that_an_anchor_holds_is_shown(shown):
    found = shown("medai_anchor_size", lambda telemetry: telemetry.anchored("container", 300))
    assert found == ['medai_anchor_size{anchor="container"} 300.0']


def test_the_time_at_which_an_anchor_last_held_everything_is_shown(shown):
    (line,) = shown("medai_anchor_timestamp_seconds", lambda telemetry: telemetry.anchored("container", 300))
    assert float(line.split()[1]) > 1_600_000_000


def test_checkpoints_that_were_not_anchored_are_counted_by_reason(shown):
    found = shown("medai_anchor_failures_total", lambda telemetry: telemetry.anchor_failed("container", "altered"))
    assert found == ['medai_anchor_failures_total{anchor="container",reason="altered"} 1.0']


def test_the_size_that_a_witness_cosigned_is_shown(shown):
    found = shown("medai_witness_size", lambda telemetry: telemetry.witnessed("W", 300))
    assert found == ['medai_witness_size{witness="W"} 300.0']


def test_cosignatures_that_did_not_come_are_counted_by_reason(shown):
    found = shown("medai_witness_failures_total", lambda telemetry: telemetry.witness_failed("W", "timeout"))
    assert found == ['medai_witness_failures_total{reason="timeout",witness="W"} 1.0']


def test_the_size_that_the_quorum_attests_is_shown(shown):
    assert shown("medai_attested_size", lambda telemetry: telemetry.attested(300)) == ["medai_attested_size 300.0"]
