from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import evidence, note, policy, receipt, verifier
from audit.checkpoint import Checkpoint
from audit.errors import Malformed, SettingInvalid, SignatureInvalid, Unattested
from audit.receipt import Group, Policy, Witness
from tests.audit_log import Log
from tests.audit_vectors_cosigned import TIME_S, W1, W2, W3, policy_text
from tests.audit_vectors_policies import LOG, LOG_ML_DSA, WHOLE, X, Y

ANY = Checkpoint(origin="log.example/a", size=1, root=bytes(32))
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "audit"
TAKEN = sorted((VECTORS / "policy" / "taken").iterdir())
REFUSED = sorted((VECTORS / "policy" / "refused").iterdir())
COSIGNED = sorted((VECTORS / "cosigned").glob("exit-*/*"))
POLICY = VECTORS / "cosigned" / "policy"
STEM = pytest.mark.parametrize("path", TAKEN, ids=lambda path: path.stem)
WITNESSES = dict(zip("abcdef", (*X, *Y), strict=True))


def as_told(quorum):
    """The quorum as nested names, of the policy that `audit.policy` makes."""
    if quorum is None or isinstance(quorum, Witness):
        return quorum and quorum.name
    return quorum.name, quorum.threshold, [as_told(member) for member in quorum.members]


def as_the_other_tells(name, read):
    if name is None or name in read.witnesses:
        return name
    least, members = read.groups[name]
    return name, least, [as_the_other_tells(member, read) for member in members]


@pytest.mark.verifies("REQ-PUB-007")
@STEM
def test_a_policy_that_the_specification_allows_is_taken(path):
    assert policy.parse(path.read_bytes()).logs is not None


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_policy_with_a_mutation_is_refused(path):
    with pytest.raises(Malformed):
        policy.parse(path.read_bytes())


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_the_stand_alone_verifier_refuses_the_same_policies(path):
    with pytest.raises(verifier.Unusable):
        verifier.parse_policy(path.read_bytes())


@pytest.mark.verifies("REQ-PUB-007")
@STEM
def test_the_stand_alone_verifier_reads_the_same_quorum(path):
    read = verifier.parse_policy(path.read_bytes())
    assert as_told(policy.parse(path.read_bytes()).quorum) == as_the_other_tells(read.quorum, read)


@pytest.mark.verifies("REQ-PUB-007")
@STEM
def test_the_stand_alone_verifier_reads_the_same_keys(path):
    ours, theirs = policy.parse(path.read_bytes()), verifier.parse_policy(path.read_bytes())
    assert [(key.name, key.key_hash, key.public_key) for key in ours.logs] == [
        (key.name, key.key_id, key.public) for key in theirs.logs
    ]
    assert [(one.name, one.key.key_hash) for one in ours.witnesses] == [
        (name, key.key_id) for name, key in theirs.witnesses.items()
    ]


@pytest.mark.verifies("REQ-PUB-007")
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: f"{WHOLE}{text}\n".encode("utf-8", "replace")))
def test_arbitrary_bytes_are_taken_or_refused_by_both_alike(text):
    taken = []
    for read, refusal in ((policy.parse, Malformed), (verifier.parse_policy, verifier.Unusable)):
        try:
            read(text)
            taken.append(True)
        except refusal:
            taken.append(False)
    assert taken[0] is taken[1]


@pytest.mark.verifies("REQ-PUB-007")
def test_the_line_at_fault_is_named():
    with pytest.raises(Malformed, match="line 9: "):
        policy.parse(WHOLE.replace("2 X1", "7 X1"))


@pytest.mark.verifies("REQ-PUB-007")
def test_text_and_bytes_are_read_alike():
    assert policy.parse(WHOLE) == policy.parse(WHOLE.encode())


@pytest.mark.verifies("REQ-PUB-007")
def test_a_policy_beyond_its_limit_is_not_read():
    with pytest.raises(Malformed):
        policy.parse(b"#" * policy.MAX_POLICY_BYTES + b"\n")


@pytest.mark.verifies("REQ-PUB-007")
def test_a_witness_keeps_its_address():
    read = policy.parse(WHOLE.replace(str(X[0]), f"{X[0]} https://x1.example/"))
    assert [witness.url for witness in read.witnesses][:2] == ["https://x1.example/", None]


@pytest.mark.verifies("REQ-PUB-007")
def test_a_log_has_either_kind_of_key():
    assert policy.parse(f"log {LOG}\nlog {LOG_ML_DSA}\nquorum none\n").logs == (LOG, LOG_ML_DSA)


def met(text, cosigned):
    """Whether the quorum of the policy is met by these of its witnesses."""
    trusted = policy.parse(text)
    named = tuple(one for one in trusted.witnesses if one.name in cosigned)
    opened = receipt.Opened(checkpoint=ANY, signed_by="", witnessed_by=named)
    try:
        receipt.require_quorum(trusted, opened)
    except Unattested:
        return False
    return True


def lines(*more):
    return "".join(f"witness {name} {key}\n" for name, key in WITNESSES.items()) + "".join(f"{one}\n" for one in more)


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize(
    "cosigned, expected",
    [("", False), ("a", False), ("ab", False), ("abd", True), ("acf", True), ("abc", False), ("def", False),
     ("ade", False), ("abcdef", True)],
)  # fmt: skip
def test_two_of_three_and_one_of_three_others_is_counted_group_by_group(cosigned, expected):
    text = lines("group x 2 a b c", "group y any d e f", "group both all x y", "quorum both")
    assert met(text, cosigned) is expected


@pytest.mark.verifies("REQ-PUB-007")
@given(
    st.sets(st.sampled_from("abcdef")),
    st.permutations("abcdef"),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_both_verifiers_count_any_two_groups_alike(cosigned, names, split, least, of_groups):
    parts = [part for part in (names[:split], names[split:]) if part]
    groups = [f"group g{at} {min(least, len(part))} {' '.join(part)}" for at, part in enumerate(parts)]
    whole = f"group all-of-them {min(of_groups, len(parts))} {' '.join(f'g{at}' for at in range(len(parts)))}"
    text = lines(*groups, whole, "quorum all-of-them")
    read = verifier.parse_policy(text.encode())
    theirs = verifier.has_witnessed("all-of-them", verifier.Seen(None, sorted(cosigned)), read)
    expected = sum(len(cosigned & set(part)) >= min(least, len(part)) for part in parts) >= min(of_groups, len(parts))
    assert (met(text, cosigned), theirs) == (expected, expected)


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize("path", COSIGNED, ids=lambda path: f"{path.parts[-2]}/{path.stem}")
def test_a_cosigned_receipt_is_judged_as_its_folder_says(path):
    found = evidence.check_receipt(path.read_bytes(), policy.parse(POLICY.read_bytes()))
    assert f"exit-{found.exit_code}" == path.parts[-2]


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize("path", [path for path in COSIGNED if path.parts[-2] == "exit-1"], ids=lambda path: path.stem)
def test_a_false_cosignature_of_a_known_witness_is_an_error_however_many_others_cosigned(path):
    with pytest.raises(SignatureInvalid):
        receipt.verify(path.read_bytes(), policy.parse(POLICY.read_bytes()))


@pytest.mark.verifies("REQ-PUB-007")
def test_a_checkpoint_says_who_witnessed_it(log: Log):
    trusted = policy.parse(policy_text(log))
    text = note.split(log.checkpoint)[0]
    cosigned = log.checkpoint + W1.cosign(text, TIME_S).line + W2.cosign(text, TIME_S).line
    opened = receipt.open_checkpoint(cosigned, trusted)
    assert receipt.witnessed(trusted, opened) == "witnessed by W1, W2 (2 of 3)"


@pytest.mark.verifies("REQ-PUB-007")
def test_what_is_not_met_says_who_cosigned_and_what_was_asked_for(log: Log):
    trusted = policy.parse(policy_text(log))
    opened = receipt.open_checkpoint(log.checkpoint + W3.cosign(note.split(log.checkpoint)[0], TIME_S).line, trusted)
    with pytest.raises(Unattested, match=r"witnessed by W3 \(1 of 3\); the policy asks for 2 of W1, W2, W3"):
        receipt.require_quorum(trusted, opened)


@pytest.mark.verifies("REQ-PUB-007")
def test_a_witness_counts_although_the_quorum_asks_for_none(log: Log):
    trusted = policy.parse(policy_text(log).replace("quorum two-of-three", "quorum none"))
    opened = receipt.open_checkpoint(log.checkpoint + W3.cosign(note.split(log.checkpoint)[0], TIME_S).line, trusted)
    assert receipt.witnessed(trusted, opened) == "witnessed by W3 (1 of 3)"


@pytest.mark.verifies("REQ-PUB-007")
def test_a_name_that_cannot_be_printed_is_shown_by_its_bytes():
    read = policy.parse(b"witness W\xff\xc2\x9b1m %s\nquorum W\xff\xc2\x9b1m\n" % str(X[0]).encode())
    assert receipt.shown(read.witnesses[0].name) == "W\\udcff\\x9b1m"


def test_one_public_key_cannot_be_two_witnesses_however_the_policy_was_made(log: Log):
    twice = tuple(Witness(name=name, key=W1.verifier) for name in ("A", "B"))
    trusted = Policy(
        logs=(log.signer.verifier,), witnesses=twice, quorum=Group(name="both", threshold=2, members=twice)
    )
    with pytest.raises(SettingInvalid):
        receipt.open_checkpoint(log.checkpoint, trusted)


def test_a_quorum_of_a_witness_that_is_not_known_cannot_be_obeyed(log: Log):
    stranger = Witness(name="A", key=W1.verifier)
    with pytest.raises(SettingInvalid):
        receipt.open_checkpoint(log.checkpoint, Policy(logs=(log.signer.verifier,), quorum=stranger))


A = Witness(name="A", key=W1.verifier)
B = Witness(name="B", key=W2.verifier)


def group(threshold, *members):
    return Group(name="G", threshold=threshold, members=members)


@pytest.mark.parametrize(
    "quorum",
    [
        pytest.param(group(0, A), id="a threshold of none, which nobody would meet"),
        pytest.param(group(-1, A), id="a threshold below none"),
        pytest.param(group(0), id="all of no members"),
        pytest.param(group(1, group(0, A)), id="a threshold of none within a group"),
        pytest.param(group(3, A, B), id="more than there are"),
        pytest.param(group(2, group(1, A), group(1, A)), id="a witness that counts in two groups"),
        pytest.param(group("1", A), id="a threshold as text"),
        pytest.param(group(1, "A"), id="a member that is a name"),
        pytest.param(Group(name="G", threshold=1, members=None), id="no members"),  # type: ignore[arg-type]  # what a caller without types gives
    ],
)
def test_a_quorum_that_no_file_could_state_cannot_be_obeyed(log: Log, quorum):
    with pytest.raises(SettingInvalid):
        receipt.open_checkpoint(log.checkpoint, Policy(logs=(log.signer.verifier,), witnesses=(A, B), quorum=quorum))


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize("text", [None, 7, ["log"], "log \ud800\n"], ids=repr)
def test_what_is_no_text_is_no_policy(text):
    with pytest.raises(Malformed):
        policy.parse(text)
