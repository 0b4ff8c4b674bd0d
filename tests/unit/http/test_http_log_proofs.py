"""A proof that is served leads to a checkpoint that was signed, or there is none."""

from base64 import b64decode

import pytest

from audit import checkpoint, merkle, note
from tests.log_fakes import leaf

SIZE = 600


def _root(size):
    return merkle.root([leaf(at) for at in range(size)])


def _decoded(answer):
    made = dict(answer.json)
    for name in ("leaf_hash", "root", "old_root", "new_root"):
        if name in made:
            made[name] = b64decode(made[name], validate=True)
    for name in ("path", "onward"):
        made[name] = [b64decode(value, validate=True) for value in made[name]]
    return made


def _verified(served, proof):
    """The checkpoint of a proof, verified."""
    return checkpoint.parse(note.open(proof["checkpoint"], (served.signer.verifier,)).text)


@pytest.mark.verifies("REQ-LOG-004")
@pytest.mark.parametrize("size", [None, 301, 512, 599, SIZE])
@pytest.mark.parametrize("index", [0, 255, 300])
def test_an_inclusion_proof_leads_from_the_record_to_the_signed_checkpoint(serving, drive, index, size):
    async def scenario():
        running, served = serving()
        query = f"index={index}" if size is None else f"index={index}&size={size}"
        proof = _decoded(await running.ask("GET", f"/audit/proof/inclusion?{query}"))
        signed = _verified(served, proof)
        assert (proof["format"], proof["index"], proof["size"]) == ("medai.inclusion-proof/1", index, size or SIZE)
        merkle.verify_inclusion(leaf(index), index, proof["size"], proof["path"], proof["root"])
        merkle.verify_consistency(proof["size"], proof["root"], signed.size, signed.root, proof["onward"])

    drive(scenario)


@pytest.mark.verifies("REQ-LOG-004")
@pytest.mark.parametrize(("old", "new"), [(0, None), (1, None), (300, None), (256, 512), (0, 0), (7, 7), (5, SIZE)])
def test_a_consistency_proof_leads_from_the_old_tree_to_the_signed_checkpoint(serving, drive, old, new):
    async def scenario():
        running, served = serving()
        query = f"old={old}" if new is None else f"old={old}&new={new}"
        proof = _decoded(await running.ask("GET", f"/audit/proof/consistency?{query}"))
        signed = _verified(served, proof)
        assert (proof["format"], proof["old"]) == ("medai.consistency-proof/1", old)
        assert proof["new"] == (SIZE if new is None else new)
        assert proof["old_root"] == _root(old)
        merkle.verify_consistency(old, proof["old_root"], proof["new"], proof["new_root"], proof["path"])
        merkle.verify_consistency(proof["new"], proof["new_root"], signed.size, signed.root, proof["onward"])

    drive(scenario)


@pytest.mark.verifies("REQ-LOG-004")
def test_a_proof_of_a_size_that_the_served_checkpoint_does_not_cover_leads_to_the_next_signed_one(serving, drive):
    async def scenario():
        running, served = serving()
        served.attest()
        served.grow(SIZE + 5)
        served.sign()
        proof = _decoded(await running.ask("GET", f"/audit/proof/inclusion?index={SIZE + 1}"))
        assert _verified(served, proof).size == proof["size"] == SIZE + 5
        proof = _decoded(await running.ask("GET", "/audit/proof/inclusion?index=3"))
        assert _verified(served, proof).size == proof["size"] == SIZE

    drive(scenario)


NOT_SIGNED = {
    "a record": "inclusion?index=600",
    "a size": "inclusion?index=5&size=601",
    "the largest size": "inclusion?index=5&size=9223372036854775807",
    "the largest index": "inclusion?index=9223372036854775807",
    "an old size": "consistency?old=601",
    "a new size": "consistency?old=5&new=601",
}


@pytest.mark.parametrize("query", NOT_SIGNED.values(), ids=NOT_SIGNED)
def test_there_is_no_proof_of_what_is_not_signed(serving, drive, query):
    async def scenario():
        running, served = serving()
        served.grow(700)
        answer = await running.ask("GET", f"/audit/proof/{query}")
        assert (answer.status, answer.json["code"]) == (404, "not_signed")

    drive(scenario)


@pytest.mark.parametrize("query", ["inclusion?index=5&size=5", "inclusion?index=0&size=0", "consistency?old=6&new=5"])
def test_there_is_no_proof_of_what_a_tree_of_that_size_does_not_have(serving, drive, query):
    async def scenario():
        answer = await serving()[0].ask("GET", f"/audit/proof/{query}")
        assert (answer.status, answer.json["code"]) == (404, "not_in_tree")

    drive(scenario)


MISASKED = {
    "nothing": "inclusion",
    "a size alone": "inclusion?size=5",
    "a misspelt size": "inclusion?index=5&sise=6",
    "an index twice": "inclusion?index=5&index=5",
    "an empty index": "inclusion?index=",
    "a negative index": "inclusion?index=-1",
    "a signed index": "inclusion?index=%2B1",
    "an index with a leading zero": "inclusion?index=05",
    "an index with a space": "inclusion?index=%205",
    "an index in another script": "inclusion?index=%D9%A5",
    "a fraction": "inclusion?index=5.0",
    "an exponent": "inclusion?index=1e2",
    "an index in hexadecimal": "inclusion?index=0x5",
    "an index beyond 63 bits": "inclusion?index=9223372036854775808",
    "an index of 5000 digits": f"inclusion?index={'9' * 5000}",
    "a new size alone": "consistency?new=5",
    "an index of a tree": "consistency?old=5&index=5",
    "not UTF-8": "consistency?old=%ff",
}


@pytest.mark.parametrize("query", MISASKED.values(), ids=MISASKED)
def test_a_parameter_that_is_wrong_is_refused(serving, drive, query):
    async def scenario():
        answer = await serving()[0].ask("GET", f"/audit/proof/{query}")
        assert (answer.status, answer.json["code"]) == (422, "request_invalid")

    drive(scenario)


def test_no_proof_is_given_where_the_database_is_not_what_was_signed(serving, drive):
    async def scenario():
        running, served = serving()
        served.database.stored[5], served.database.stored[6] = served.database.stored[6], served.database.stored[5]
        answer = await running.ask("GET", "/audit/proof/inclusion?index=7")
        assert (answer.status, answer.json["code"]) == (500, "internal_error")

    drive(scenario)
