"""A proof in a flood: a stranger's is folded and is the same; who names itself is on record singly, at its own rate."""

import pytest

from audit import record as records

pytestmark = pytest.mark.verifies("REQ-LED-023")
AUDITOR = {"authorization": "Bearer no-scope"}
PROOFS = ["/audit/proof/inclusion?index=5", "/audit/proof/consistency?old=5"]


@pytest.mark.parametrize("path", PROOFS)
def test_in_a_flood_a_stranger_s_proof_is_the_same_and_in_the_record_of_all_others(serving, drive, path):
    async def scenario():
        running, _ = serving(answers_per_minute=1)
        alone, *folded = [await running.ask("GET", path) for _ in range(4)]
        assert {answer.body for answer in folded} == {alone.body}
        assert [type(record) for record in running.ledger.records] == [records.Request, records.Window]
        assert {answer.headers["ledger-index"] for answer in folded} == {"1"}

    drive(scenario)


@pytest.mark.parametrize("path", PROOFS)
def test_a_proof_for_who_has_a_token_is_recorded_singly_under_its_name_whatever_the_flood(serving, drive, path):
    async def scenario():
        running, _ = serving(answers_per_minute=0, answers_per_minute_total=0, peer_rate_per_s=1, peer_burst=1)
        assert [(await running.ask("GET", path, headers=AUDITOR)).status for _ in range(3)] == [200] * 3
        assert [(type(one), one.actor) for one in running.ledger.records] == [(records.Request, "reader")] * 3

    drive(scenario)


@pytest.mark.parametrize("path", PROOFS)
def test_a_token_s_proofs_have_the_token_s_rate(serving, drive, path):
    async def scenario():
        running, _ = serving(caller_rate_per_s=1, caller_burst=2)
        assert [(await running.ask("GET", path, headers=AUDITOR)).status for _ in range(3)] == [200, 200, 429]

    drive(scenario)


@pytest.mark.parametrize("path", PROOFS)
def test_a_token_of_nobody_makes_a_stranger_of_who_asks_for_a_proof(serving, drive, path):
    async def scenario():
        running, _ = serving(answers_per_minute=0)
        answer = await running.ask("GET", path, headers={"authorization": "Bearer nobody-s"})
        assert (answer.status, type(running.ledger.records[0])) == (200, records.Window)

    drive(scenario)
