"""Asking a witness over HTTP: what is believed of its answers, and how long any of them is waited for."""

import hashlib
import threading

import pytest

from audit import checkpoint, cosignature, merkle, note, policy
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ML_DSA_44
from audit.errors import SettingInvalid, WitnessFailed
from audit.receipt import Witness
from audit.witnesses import MAX_ANSWER_BYTES, Conflict, WitnessClient, clients
from tests.witness_fakes import SIZE, TEXT, FakeWitness, serving

pytestmark = pytest.mark.verifies("REQ-PUB-009")

ORIGIN = "log.example/witnessed"
LOG = note.Signer.generate(ORIGIN, bytes(range(32)))
LEAVES = [hashlib.sha256(bytes([at])).digest() for at in range(64)]


def signed(size):
    root = merkle.root(LEAVES[:size])
    return note.sign(checkpoint.format(Checkpoint(origin=ORIGIN, size=size, root=root)), [LOG])


def proof(old, new):
    def node(height, index):
        return merkle.root(LEAVES[index << height : (index + 1) << height])

    return merkle.consistency_path(old, new, node)


def client_of(witness, timeout_ms=2_000):
    one = Witness(name="W", key=witness.cosigner.verifier, url=witness.url)
    return WitnessClient([one], timeout_ms=timeout_ms)


@pytest.fixture
def witness():
    with serving(FakeWitness("w")) as witness:
        yield witness


@pytest.fixture
def client(witness):
    client = client_of(witness)
    yield client
    client.close()


def reason_of(client, old=0, size=5):
    with pytest.raises(WitnessFailed) as caught:
        client.add_checkpoint(old, proof(old, size), signed(size))
    return caught.value.reason


def test_a_witness_s_cosignature_verifies_over_the_checkpoint(witness, client):
    (line,) = client.add_checkpoint(0, (), signed(5))
    witness.cosigner.verifier.verify(note.split(signed(5))[0].encode(), line.signature)


def test_a_witness_with_a_key_that_outlives_a_quantum_computer_is_a_witness_like_others():
    with serving(FakeWitness("pq", algorithm=ALGORITHM_ML_DSA_44)) as witness:
        client = client_of(witness)
        (line,) = client.add_checkpoint(0, (), signed(5))
        client.close()
    assert len(line.signature) == 8 + 2_420


def test_the_proof_leads_from_the_size_that_the_witness_has(client):
    client.add_checkpoint(0, (), signed(5))
    assert client.add_checkpoint(5, proof(5, 9), signed(9))


def test_a_witness_that_has_another_size_names_it(client):
    client.add_checkpoint(0, (), signed(5))
    assert client.add_checkpoint(0, (), signed(9)) == Conflict(size=5)


def test_the_connection_is_kept_between_requests(witness, client):
    for old, size in ((0, 5), (5, 9), (9, 12)):
        client.add_checkpoint(old, proof(old, size), signed(size))
    assert witness.connections == 1


def test_a_connection_that_ended_while_it_was_idle_is_replaced(witness, client):
    witness.closes = True
    client.add_checkpoint(0, (), signed(5))
    assert client.add_checkpoint(5, proof(5, 9), signed(9))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "refused"),
        (403, "key_unknown"),
        (404, "log_unknown"),
        (422, "inconsistent"),
        (429, "rate_limited"),
        (500, "refused"),
        (302, "refused"),
        (999, "refused"),
    ],
)
def test_every_other_answer_has_a_reason(witness, client, status, reason):
    witness.instead = lambda _: (status, TEXT, b"no\n")
    assert reason_of(client) == reason


def test_a_redirection_is_not_followed(witness, client):
    witness.instead = lambda _: (307, TEXT, b"")
    reason_of(client)
    assert len(witness.requests) == 1


def test_a_cosignature_over_another_size_is_none(witness, client):
    witness.instead = lambda _: (200, TEXT, witness.lines(note.split(signed(4))[0]))
    assert reason_of(client) == "cosignature_invalid"


def test_a_cosignature_with_a_flipped_bit_is_none(witness, client):
    def flipped(request):
        line = witness.cosigner.cosign(note.split(request.signed)[0], 1)
        broken = note.Signature(name=line.name, key_id=line.key_id, signature=line.signature[:-1] + b"\x00")
        return 200, TEXT, broken.line.encode()

    witness.instead = flipped
    assert reason_of(client) == "cosignature_invalid"


def test_a_cosignature_by_another_key_is_ignored_and_so_missing(witness, client):
    other = FakeWitness("other", seed=9)
    witness.instead = lambda request: (200, TEXT, other.lines(note.split(request.signed)[0]))
    assert reason_of(client) == "cosignature_missing"


def test_a_cosignature_by_a_key_of_the_same_name_is_ignored_and_so_missing(witness, client):
    other = FakeWitness("w", seed=9)
    witness.instead = lambda request: (200, TEXT, other.lines(note.split(request.signed)[0]))
    assert reason_of(client) == "cosignature_missing"


def test_cosignatures_of_others_beside_the_witness_s_own_are_ignored(witness, client):
    other = FakeWitness("other", seed=9)

    def both(request):
        text = note.split(request.signed)[0]
        return 200, TEXT, other.lines(text) + witness.lines(text)

    witness.instead = both
    (line,) = client.add_checkpoint(0, (), signed(5))
    assert line.name == witness.cosigner.name


def test_a_cosignature_without_a_time_is_none():
    with serving(FakeWitness("pq", algorithm=ALGORITHM_ML_DSA_44)) as witness:
        timeless = cosignature.LogSigner(witness.cosigner)
        witness.instead = lambda request: (
            200, TEXT, note.sign(note.split(request.signed)[0], [timeless]).rpartition("\n\n")[2].encode()
        )  # fmt: skip
        client = client_of(witness)
        assert reason_of(client) == "cosignature_invalid"
        client.close()


@pytest.mark.parametrize("body", [b"", b"\n", b"thank you\n", b"\xff\xfe\n", "— w.example/witness AAAA\n".encode()])
def test_an_answer_that_is_no_signature_lines_is_malformed(witness, client, body):
    witness.instead = lambda _: (200, TEXT, body)
    assert reason_of(client) == "malformed"


def test_an_answer_cannot_change_the_text_that_is_signed(witness, client):
    def longer(request):
        text = note.split(request.signed)[0] + "\nan extension\n"
        line = witness.cosigner._signature(text.encode(), 1).line
        return 200, TEXT, f"an extension\n\n{line}".encode()

    witness.instead = longer
    assert reason_of(client) == "cosignature_invalid"


def test_an_answer_without_an_end_is_not_read_to_its_end(witness, client):
    witness.instead = lambda _: (200, TEXT, b"x" * (MAX_ANSWER_BYTES + 1))
    assert reason_of(client) == "malformed"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (TEXT, b"5\n"),
        (SIZE, b""),
        (SIZE, b"5"),
        (SIZE, b"05\n"),
        (SIZE, b"-5\n"),
        (SIZE, b"9223372036854775808\n"),
        (SIZE, b"5\n5\n"),
    ],
)
def test_a_conflict_that_does_not_name_a_size_is_malformed(witness, client, kind, body):
    witness.instead = lambda _: (409, kind, body)
    assert reason_of(client) == "malformed"


def test_a_witness_that_is_not_there_is_unreachable():
    with serving(FakeWitness("gone")) as witness:
        client = client_of(witness)
    assert reason_of(client) == "unreachable"


def test_an_answer_that_is_cut_is_none(witness, client):
    witness.cuts = True
    assert reason_of(client) == "unreachable"


def test_a_witness_that_never_answers_is_given_up(witness):
    witness.silent.set()
    assert reason_of(client_of(witness, timeout_ms=150)) == "timeout"


def test_a_witness_that_drips_is_ended_from_outside(witness, client):
    witness.drips = True
    timer = threading.Timer(0.3, client.abort)
    timer.start()
    assert reason_of(client) == "unreachable"
    timer.join()


def test_what_was_ended_from_outside_is_not_asked_again_on_another_connection(witness, client):
    client.add_checkpoint(0, (), signed(5))
    witness.silent.set()
    timer = threading.Timer(0.3, client.abort)
    timer.start()
    assert (reason_of(client, 5, 9), witness.connections) == ("unreachable", 1)
    timer.join()


def test_after_a_failure_the_next_request_has_a_connection_of_its_own(witness, client):
    witness.cuts = True
    reason_of(client)
    witness.cuts, witness.latest = False, None
    assert client.add_checkpoint(0, (), signed(5))


def test_aborting_what_is_not_under_way_does_nothing(client):
    assert client.abort() is None


def test_witnesses_of_one_address_are_asked_once_with_all_their_keys(witness):
    second = FakeWitness("second", seed=2)
    second.url = witness.url
    text = witness.policy_line("A") + second.policy_line("B") + "quorum none\n"
    (client,) = clients(policy.parse(text), timeout_ms=1_000)
    assert (client.name, len(client.keys)) == ("A,B", 2)


def test_a_further_key_of_a_witness_need_not_repeat_its_address(witness):
    first = witness.policy_line("A")
    second = FakeWitness("w", algorithm=ALGORITHM_ML_DSA_44).policy_line("B")
    (client,) = clients(policy.parse(first + second + "quorum none\n"), timeout_ms=1_000)
    assert (client.name, len(client.keys)) == ("A,B", 2)


@pytest.mark.parametrize(
    "url", ["", "ftp://w.example/", "w.example", "https://", "https://w.example:99999/", "https://user@w.example/",
            "https://w.example/?a=b", "https://w..example/", f"https://{'w' * 64}.example/"],
)  # fmt: skip
def test_a_witness_without_an_address_to_send_to_is_a_setting_that_cannot_be_obeyed(url):
    one = Witness(name="W", key=FakeWitness("w").cosigner.verifier, url=url or None)
    with pytest.raises(SettingInvalid, match="URL"):
        WitnessClient([one], timeout_ms=1_000)
