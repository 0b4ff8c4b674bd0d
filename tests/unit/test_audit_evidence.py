import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audit import cosignature, evidence, note, receipt, record, verifier
from audit.receipt import Policy
from tests import audit_vectors, audit_vectors_cosigned

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "audit"
FILES = sorted([*VECTORS.glob("receipt/exit-*/*"), *VECTORS.glob("answer/exit-*/*")])
KEY = (VECTORS / "log.vkey").read_text(encoding="utf-8").strip()
POLICY = Policy(logs=(note.Verifier.parse(KEY),))
CHECKS = {"receipt": evidence.check_receipt, "answer": evidence.check_answer}


def ids(path):
    return "/".join(path.relative_to(VECTORS).parts)


def leaves(value, path=()):
    """The path of every value in a JSON value that holds no other."""
    if isinstance(value, dict | list) and value:
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, name))
    else:
        yield path


@pytest.mark.verifies("REQ-AUD-001")
@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_mutation_is_judged_as_its_folder_says(path):
    found = CHECKS[path.parts[-3]](path.read_bytes(), POLICY)
    assert f"exit-{found.exit_code}" == path.parts[-2]


@pytest.mark.verifies("REQ-AUD-001", "REQ-AUD-004")
@pytest.mark.parametrize("path", FILES, ids=ids)
def test_the_stand_alone_verifier_judges_a_mutation_as_its_folder_says(path, capsys):
    assert f"exit-{verifier.main(['--key', KEY, str(path)])}" == path.parts[-2]


def test_the_vectors_hold_every_verdict_on_both_artefacts():
    found = {path.parent.relative_to(VECTORS).as_posix() for path in FILES}
    assert found == {f"{kind}/exit-{code}" for kind in CHECKS for code in (0, 1, 3)}


@pytest.mark.verifies("REQ-AUD-001")
def test_no_single_changed_character_of_a_receipt_is_valid_to_either_verifier(log, capsys):
    for at, char in enumerate(log.proof):
        changed = log.proof[:at] + ("A" if char != "A" else "B") + log.proof[at + 1 :]
        ours = evidence.check_receipt(changed, log.policy).exit_code
        theirs, _ = verifier.judge(changed.encode(), verifier.trusting([verifier.parse_key(str(log.signer.verifier))]))
        assert (at, ours) == (at, theirs)
        assert ours != verifier.VALID


def test_no_changed_line_before_the_signatures_is_more_than_broken(log):
    for at, line in enumerate(log.proof.split("\n")[:-2]):
        lines = log.proof.split("\n")
        lines[at] = line[:-1] + ("A" if line[-1:] != "A" else "B")
        assert (at, evidence.check_receipt("\n".join(lines), log.policy).exit_code) == (at, 1)


@pytest.mark.verifies("REQ-AUD-002")
@given(data=st.data())
def test_no_changed_value_of_an_answer_is_valid_to_either_verifier(log, data):
    answer = json.loads(json.dumps(log.answer))
    path = data.draw(st.sampled_from(sorted(leaves(answer), key=str)))
    holder = answer
    for name in path[:-1]:
        holder = holder[name]
    replacement = data.draw(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just([]))
    if json.dumps(replacement) == json.dumps(holder[path[-1]]):
        replacement = "another"
    holder[path[-1]] = replacement
    body = json.dumps(answer).encode()
    theirs, _ = verifier.judge(body, verifier.trusting([verifier.parse_key(str(log.signer.verifier))]))
    assert (evidence.check_answer(body, log.policy).exit_code, theirs) == (1, 1)


@pytest.mark.verifies("REQ-AUD-005")
def test_a_valid_receipt_says_by_whom_it_is_signed_and_that_nobody_witnessed_it(log):
    found = evidence.check_receipt(log.proof, log.policy)
    key_id = log.signer.verifier.key_hash.hex()
    assert found.words == (
        f"included in the tree of 13 records of log.example/a signed by log.example/a+{key_id}; not witnessed"
    )


def test_a_valid_answer_is_said_to_be_the_recorded_one(log):
    assert evidence.check_answer(json.dumps(log.answer).encode(), log.policy).words.startswith(
        "the answer is the recorded one, included in the tree of 13 records"
    )


@pytest.mark.verifies("REQ-AUD-002")
def test_an_altered_answer_is_told_with_what_it_says_and_what_was_recorded(log):
    answer = {**log.answer, "finding": {**log.answer["finding"], "decision": "negative"}}
    found = evidence.check_answer(json.dumps(answer).encode(), log.policy)
    assert found.words == ("altered or broken: answer: finding.decision is 'negative', the record proves 'positive'")


@pytest.mark.verifies("REQ-AUD-005")
def test_the_steps_that_were_passed_are_told_before_the_one_that_failed(log):
    answer = {**log.answer, "latency_ms": 1}
    assert len(evidence.check_answer(json.dumps(answer).encode(), log.policy).steps) == 6


@pytest.mark.verifies("REQ-AUD-004")
def test_a_quorum_that_is_not_met_is_unattested(log):
    witness = receipt.Witness(name="W", key=cosignature.Cosigner("witness.example", b"w" * 32).verifier)
    policy = Policy(logs=(log.signer.verifier,), witnesses=(witness,), quorum=witness)
    assert evidence.check_receipt(log.proof, policy).exit_code == 3


@pytest.mark.verifies("REQ-AUD-004")
def test_a_broken_receipt_is_broken_even_where_nobody_vouches_for_it(log):
    assert evidence.check_receipt(log.proof.replace("index 5\n", "index 6\n"), Policy(logs=())).exit_code == 1


@pytest.mark.verifies("REQ-AUD-004")
def test_an_altered_answer_is_altered_even_where_nobody_vouches_for_it(log):
    answer = json.dumps({**log.answer, "latency_ms": 1}).encode()
    assert evidence.check_answer(answer, Policy(logs=())).exit_code == 1


@pytest.mark.verifies("REQ-AUD-004")
def test_a_policy_with_one_key_twice_cannot_be_obeyed(log):
    policy = Policy(logs=(log.signer.verifier, log.signer.verifier))
    assert evidence.check_receipt(log.proof, policy).exit_code == 2


def test_an_answer_without_a_window_or_frame_matches_a_record_that_leaves_them_out(log):
    assert log.answer["input"]["frame"] is None
    assert evidence.check_answer(json.dumps(log.answer).encode(), log.policy).exit_code == 0


@pytest.mark.verifies("REQ-AUD-002")
def test_an_answer_that_abstained_matches_its_record(make_log, prediction, answer):
    answer["finding"] = {"decision": "abstain", "label": None, "reasons": ["blank_image"]}
    entry = replace(
        prediction,
        finding=record.Finding(decision="abstain", reasons=("blank_image",)),
        answer_sha256=evidence.answer_sha256(answer),
    )
    log = make_log(record.encode(entry), answer)
    assert evidence.check_answer(json.dumps(log.answer).encode(), log.policy).exit_code == 0


def test_the_digest_of_an_answer_does_not_cover_its_ledger_member(log, answer):
    assert evidence.answer_sha256(log.answer) == evidence.answer_sha256(answer)


def test_the_vectors_are_those_that_their_generator_makes():
    inputs = {VECTORS / "README.md", audit_vectors_cosigned.KEPT}
    made = [path for path in VECTORS.rglob("*") if path.is_file() and path not in inputs]
    assert {path.relative_to(VECTORS).as_posix(): path.read_bytes() for path in made} == audit_vectors.vectors()
