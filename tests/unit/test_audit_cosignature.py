import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import checkpoint, cosignature, note, policy, receipt
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ED25519, ALGORITHM_ML_DSA_44, Cosigner, LogSigner, Verifier
from audit.errors import Malformed, SignatureInvalid

W1 = Cosigner("witness.example/w1", b"1" * 32, ALGORITHM_ED25519)
W2 = Cosigner("witness.example/w2", b"2" * 32, ALGORITHM_ML_DSA_44)
BOTH = pytest.mark.parametrize("cosigner", [W1, W2], ids=["ed25519", "ml-dsa-44"])
# The text of the examples of C2SP tlog-cosignature, with the time of its example.
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
TIME_S = 1679315147


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_a_cosignature_is_verified_by_the_key_that_made_it(cosigner):
    assert cosigner.verifier.verify(TEXT.encode(), cosigner.cosign(TEXT, TIME_S).signature) is None


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_the_time_of_a_cosignature_is_the_one_that_it_was_made_at(cosigner):
    assert cosignature.time_of(cosigner.cosign(TEXT, TIME_S).signature) == TIME_S


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_a_cosigned_note_is_opened_with_the_witness_among_its_signers(cosigner):
    log = note.Signer("example.com/behind-the-sofa", b"l" * 32)
    cosigned = note.sign(TEXT, [log]) + cosigner.cosign(TEXT, TIME_S).line
    found = note.open(cosigned, [log.verifier, cosigner.verifier])
    assert [one.name for one in found.verified] == [log.name, cosigner.name]


@pytest.mark.verifies("REQ-PUB-008")
def test_the_ed25519_message_is_header_time_and_text_as_the_specification_spells_it():
    signed = W1.cosign(TEXT, TIME_S).signature
    message = f"cosignature/v1\ntime 1679315147\n{TEXT}".encode()
    assert signed[:8] == (1679315147).to_bytes(8, "big")
    assert Ed25519PublicKey.from_public_bytes(W1.verifier.public_key).verify(signed[8:], message) is None


@pytest.mark.verifies("REQ-PUB-008")
def test_the_ml_dsa_message_is_the_structure_that_the_specification_spells_out():
    signed = W2.cosign(TEXT, TIME_S).signature
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    message = (
        b"subtree/v1\n\x00" + b"\x12witness.example/w2" + (1679315147).to_bytes(8, "big")
        + b"\x1bexample.com/behind-the-sofa" + bytes(8) + (20852163).to_bytes(8, "big") + root
    )  # fmt: skip
    assert MLDSA44PublicKey.from_public_bytes(W2.verifier.public_key).verify(signed[8:], message) is None


@pytest.mark.verifies("REQ-PUB-008")
@pytest.mark.parametrize("cosigner, kind", [(W1, b"\x04"), (W2, b"\x06")], ids=["ed25519", "ml-dsa-44"])
def test_the_id_of_a_key_is_made_of_its_name_its_type_and_its_bytes(cosigner, kind):
    hashed = hashlib.sha256(cosigner.name.encode() + b"\n" + kind + cosigner.verifier.public_key).digest()
    assert cosigner.verifier.key_hash == hashed[:4]


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_keys_are_written_and_read_alike(cosigner):
    assert str(Verifier.parse(str(cosigner.verifier))) == str(cosigner.verifier)
    assert Cosigner.parse(cosigner.skey).skey == cosigner.skey


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_a_key_with_any_character_changed_is_refused(cosigner):
    vkey = str(cosigner.verifier)
    for at in [*range(40), *range(40, len(vkey), 97)]:
        with pytest.raises(Malformed):
            Verifier.parse(vkey[:at] + chr(ord(vkey[at]) + 1) + vkey[at + 1 :])


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_a_key_shows_nothing_of_its_secret_by_accident(cosigner):
    assert base64.b64encode(cosigner.skey.encode()).decode()[:20] not in repr(cosigner)
    assert cosigner.skey.rpartition("+")[2] not in repr(cosigner)


@pytest.mark.verifies("REQ-PUB-008")
def test_a_key_of_a_log_is_no_key_of_a_cosigner():
    with pytest.raises(Malformed):
        Verifier.parse(str(note.Signer("a", b"a" * 32).verifier))


@pytest.mark.verifies("REQ-PUB-008")
def test_a_key_of_a_cosigner_is_no_key_of_a_log():
    with pytest.raises(Malformed):
        note.Verifier.parse(str(W1.verifier))


@pytest.mark.verifies("REQ-PUB-008")
@pytest.mark.parametrize("kind", [b"", b"\x00", b"\x01", b"\x02", b"\x05", b"\x07", b"\xff", b"\x04\x04"])
def test_a_kind_that_is_no_cosigners_is_refused(kind):
    with pytest.raises(Malformed):
        Cosigner("a", b"a" * 32, kind)


@pytest.mark.verifies("REQ-PUB-008")
@pytest.mark.parametrize(
    "kind, length",
    [(ALGORITHM_ED25519, length) for length in (0, 31, 33)]
    + [(ALGORITHM_ML_DSA_44, length) for length in (0, 32, 1311, 1313)],
)
def test_a_public_key_of_another_length_is_refused(kind, length):
    with pytest.raises(Malformed):
        Verifier("a", bytes(length), kind)


@pytest.mark.verifies("REQ-PUB-008")
@pytest.mark.parametrize("kind", [ALGORITHM_ED25519, ALGORITHM_ML_DSA_44])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(kind, length):
    with pytest.raises(Malformed):
        Cosigner("a", bytes(length), kind)


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
@pytest.mark.parametrize("time_s", [-1, 0, 2**63])
def test_no_time_but_one_that_the_specification_allows_a_witness_is_signed(cosigner, time_s):
    with pytest.raises(Malformed):
        cosigner.cosign(TEXT, time_s)


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
@pytest.mark.parametrize("text", ["", "hello\n", TEXT[:-1], TEXT.replace("2085", "02085"), TEXT + "\n"])
def test_nothing_but_a_checkpoint_is_cosigned(cosigner, text):
    with pytest.raises(Malformed):
        cosigner.cosign(text, TIME_S)


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
@settings(max_examples=30)
@given(data=st.data())
def test_a_cosignature_with_a_bit_flipped_is_refused(cosigner, data):
    signed = bytearray(cosigner.cosign(TEXT, TIME_S).signature)
    at = data.draw(st.integers(0, 8 * len(signed) - 1))
    signed[at // 8] ^= 1 << at % 8
    with pytest.raises(SignatureInvalid):
        cosigner.verifier.verify(TEXT.encode(), bytes(signed))


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
def test_a_cosignature_of_any_other_length_is_refused(cosigner):
    signed = cosigner.cosign(TEXT, TIME_S).signature
    for other in [signed[:length] for length in (0, 1, 7, 8, len(signed) - 1)] + [signed + b"\0"]:
        with pytest.raises(SignatureInvalid):
            cosigner.verifier.verify(TEXT.encode(), other)


@pytest.mark.verifies("REQ-PUB-008")
@BOTH
@pytest.mark.parametrize("member, value", [("origin", "other.example"), ("size", 20852164), ("root", b"r" * 32)])
def test_a_cosignature_is_of_one_origin_size_and_root(cosigner, member, value):
    stated: dict[str, Any] = {"origin": "example.com/behind-the-sofa", "size": 20852163, "root": b"q" * 32}
    signed = cosigner.cosign(checkpoint.format(Checkpoint(**stated)), TIME_S).signature
    with pytest.raises(SignatureInvalid):
        cosigner.verifier.verify(checkpoint.format(Checkpoint(**{**stated, member: value})).encode(), signed)


@pytest.mark.verifies("REQ-PUB-008")
def test_an_ed25519_cosignature_covers_extension_lines():
    with pytest.raises(SignatureInvalid):
        W1.verifier.verify(f"{TEXT}more\n".encode(), W1.cosign(TEXT, TIME_S).signature)


@pytest.mark.verifies("REQ-PUB-008")
def test_an_ml_dsa_cosignature_says_nothing_of_extension_lines():
    assert W2.verifier.verify(f"{TEXT}more\n".encode(), W2.cosign(TEXT, TIME_S).signature) is None


@pytest.mark.verifies("REQ-PUB-008")
def test_an_ml_dsa_cosignature_is_of_one_name():
    other = Cosigner("witness.example/other", b"2" * 32, ALGORITHM_ML_DSA_44)
    with pytest.raises(SignatureInvalid):
        other.verifier.verify(TEXT.encode(), W2.cosign(TEXT, TIME_S).signature)


@pytest.mark.verifies("REQ-PUB-008")
def test_an_ml_dsa_signature_over_what_is_no_checkpoint_is_refused():
    with pytest.raises(SignatureInvalid):
        W2.verifier.verify(b"hello\n", W2.cosign(TEXT, TIME_S).signature)


@pytest.mark.verifies("REQ-PUB-008")
@pytest.mark.parametrize("length, taken", [(1, True), (255, True), (256, False)])
def test_ml_dsa_takes_names_that_a_byte_can_count(length, taken):
    if taken:
        assert Cosigner("n" * length, b"2" * 32, ALGORITHM_ML_DSA_44).name == "n" * length
    else:
        with pytest.raises(Malformed):
            Cosigner("n" * length, b"2" * 32, ALGORITHM_ML_DSA_44)


@pytest.mark.verifies("REQ-PUB-008")
def test_ml_dsa_signs_no_origin_that_a_byte_cannot_count():
    text = checkpoint.format(Checkpoint(origin="o" * 256, size=1, root=b"r" * 32))
    with pytest.raises(Malformed):
        W2.cosign(text, TIME_S)


@pytest.mark.verifies("REQ-PUB-008")
def test_a_log_may_sign_its_checkpoints_with_both_kinds_of_keys():
    first = note.Signer("example.com/behind-the-sofa", b"l" * 32)
    second = LogSigner(Cosigner(first.name, b"m" * 32, ALGORITHM_ML_DSA_44))
    signed = note.sign(TEXT, [first, second])
    assert len(note.open(signed, [first.verifier, second.verifier]).verified) == 2


@pytest.mark.verifies("REQ-PUB-008")
def test_a_log_states_no_time_with_its_second_key():
    second = LogSigner(Cosigner("example.com/behind-the-sofa", b"m" * 32, ALGORITHM_ML_DSA_44))
    assert cosignature.time_of(second.sign(TEXT.encode())) == 0


@pytest.mark.verifies("REQ-PUB-008")
def test_a_log_signs_no_extension_line_with_its_second_key():
    second = LogSigner(Cosigner("example.com/behind-the-sofa", b"m" * 32, ALGORITHM_ML_DSA_44))
    with pytest.raises(Malformed):
        second.sign(f"{TEXT}more\n".encode())


@pytest.mark.verifies("REQ-PUB-008")
def test_the_second_key_of_a_log_is_of_the_other_kind():
    with pytest.raises(Malformed):
        LogSigner(W1)


def test_published_cosignatures_of_both_kinds_meet_their_published_policy(third_party_vectors):
    folder = third_party_vectors / "c2sp-tlog-cosignature"
    if not folder.is_dir():
        pytest.skip("no c2sp-tlog-cosignature among the third-party vectors")
    trusted = policy.parse((folder / "policy.txt").read_bytes())
    opened = receipt.open_checkpoint((folder / "cosigned.txt").read_bytes(), trusted)
    assert receipt.require_quorum(trusted, opened) is None
