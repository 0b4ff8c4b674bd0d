"""`POST /infer`: a finding leaves with its proof, and what is sent is what was recorded."""

import json
from hashlib import sha256

import pytest

from audit import canonical


@pytest.mark.verifies("REQ-INF-001")
def test_an_image_is_answered_with_a_finding_and_its_proof(service, drive):
    async def scenario():
        running = service()
        answer = await running.infer()
        assert answer.status == 200, answer.body
        assert answer.json["finding"]["decision"] == "positive"
        assert answer.json["ledger"]["proof"] == "proof of 0\n"
        assert answer.headers["ledger-index"] == "0"

    drive(scenario)


@pytest.mark.verifies("REQ-LED-013")
def test_the_record_holds_the_digest_of_the_answer_without_its_proof(service, drive):
    async def scenario():
        running = service()
        answer = (await running.infer()).json
        del answer["ledger"]
        record = running.ledger.records[0]
        assert record.answer_sha256 == sha256(canonical.encode(answer)).hexdigest()

    drive(scenario)


@pytest.mark.verifies("REQ-LED-013")
def test_the_answer_is_sent_in_canonical_form(service, drive):
    async def scenario():
        answer = await service().infer()
        assert canonical.encode(json.loads(answer.body)) == answer.body

    drive(scenario)
