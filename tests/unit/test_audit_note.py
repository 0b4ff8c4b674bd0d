import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import note
from audit.errors import Malformed, SettingInvalid, SignatureInvalid, SignatureMissing

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "audit" / "note"
REFUSALS = {"malformed": Malformed, "invalid": SignatureInvalid, "missing": SignatureMissing}
ALICE = note.Signer.generate("alice.example/log", b"a" * 32)
BOB = note.Signer.generate("bob.example/log", b"b" * 32)
TEXT = "a text\n\nwith an empty line\n"
SIGNED = note.sign(TEXT, [ALICE])
LINE = SIGNED[len(TEXT) + 1 :]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))), max_size=30)


def line(name, key_id, signature):
    return f"\N{EM DASH} {name} {base64.b64encode(key_id + signature).decode()}\n"


@pytest.fixture(scope="module")
def published(third_party_vectors):
    def read(name):
        return json.loads((third_party_vectors / "c2sp-signed-note" / name).read_text(encoding="utf-8"))

    return read


def opened(case):
    verifiers = [note.Verifier.parse(vkey) for vkey in case["vkeys"]]
    return note.open(base64.b64decode(case["msg_b64"]), verifiers)


def test_published_notes_that_verify_are_opened_with_the_signers_named(published):
    cases = [case for case in published("open_cases.json") if case["want"] == "ok"]
    found = {case["name"]: [one.name for one in opened(case).verified] for case in cases}
    assert found == {case["name"]: case["verified"] for case in cases}


def test_signatures_of_unknown_keys_in_published_notes_are_kept_apart(published):
    cases = [case for case in published("open_cases.json") if "unverified" in case]
    found = {case["name"]: [one.name for one in opened(case).unverified] for case in cases}
    assert found == {case["name"]: case["unverified"] for case in cases}


def test_published_notes_signed_by_no_known_key_are_refused_for_that(published):
    for case in published("open_cases.json"):
        if case["want"] == "unverified":
            with pytest.raises(SignatureMissing):
                opened(case)


def test_published_notes_that_are_wrong_are_refused(published):
    for case in published("open_cases.json"):
        if case["want"] == "error":
            with pytest.raises((Malformed, SignatureInvalid, SettingInvalid)):
                opened(case)


def test_published_verifier_keys_are_read_and_written_alike(published):
    keys = published("vkeys.json")["valid"]
    assert [str(note.Verifier.parse(key)) for key in keys] == keys


def test_published_verifier_keys_that_are_wrong_are_refused(published):
    for key in published("vkeys.json")["invalid"]:
        with pytest.raises(Malformed):
            note.Verifier.parse(key)


@pytest.mark.verifies("REQ-LED-026")
def test_published_texts_are_signed_byte_for_byte(published):
    for case in published("sign_cases.json"):
        if "skey" in case and "want" in case:
            assert note.sign(case["text"], [note.Signer.parse(case["skey"])]) == case["want"]


def test_the_published_seed_gives_the_published_key_and_signature(published):
    (case,) = [case for case in published("sign_cases.json") if "skey_seed_hex" in case]
    signer = note.Signer.generate(case["name"], bytes.fromhex(case["skey_seed_hex"]))
    assert str(signer.verifier) == case["vkey"]
    assert note.sign(case["text"], [signer]) == case["text"] + "\n" + case["want_signature_line"]


def test_every_cut_of_a_verifier_key_is_refused():
    vkey = str(ALICE.verifier)
    for first in range(len(vkey)):
        for end in range(first, len(vkey) + 1):
            if vkey[first:end] != vkey:
                with pytest.raises(Malformed):
                    note.Verifier.parse(vkey[first:end])


def test_every_cut_of_a_signing_key_is_refused():
    skey = ALICE.skey
    for first in range(len(skey)):
        for end in (first, (first + len(skey)) // 2, len(skey)):
            if skey[first:end] != skey:
                with pytest.raises(Malformed):
                    note.Signer.parse(skey[first:end])


@pytest.mark.parametrize("parse, key", [(note.Verifier.parse, str(ALICE.verifier)), (note.Signer.parse, ALICE.skey)])
def test_a_key_with_any_character_changed_is_refused(parse, key):
    for at, char in enumerate(key):
        with pytest.raises(Malformed):
            parse(key[:at] + chr(ord(char) + 1) + key[at + 1 :])


def test_a_signing_key_is_read_and_written_alike():
    assert note.Signer.parse(ALICE.skey).skey == ALICE.skey


def test_a_key_id_in_capitals_is_refused():
    name, key_id, key = str(ALICE.verifier).split("+", 2)
    with pytest.raises(Malformed):
        note.Verifier.parse("+".join((name, key_id.upper(), key)))


def test_a_public_key_beyond_the_prime_is_refused():
    with pytest.raises(Malformed):
        note.Verifier("a", (2**255 - 18).to_bytes(32, "little"))


@pytest.mark.parametrize("seed", [b"", b"a" * 31, b"a" * 33])
def test_a_seed_of_another_length_is_refused(seed):
    with pytest.raises(Malformed):
        note.Signer.generate("a", seed)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\u2028b", "a\nb", "a\x00b", "a\ud800b"])
def test_a_name_with_spaces_pluses_or_control_characters_is_refused(name):
    with pytest.raises(Malformed):
        note.Signer.generate(name, b"a" * 32)


def test_a_signing_key_does_not_show_its_secret_by_accident():
    assert base64.b64encode(b"a" * 32).decode()[:20] not in repr(ALICE) + str(ALICE)


@pytest.mark.verifies("REQ-AUD-010")
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_every_text_that_is_signed_is_opened(lines):
    text = "\n".join(lines) + "\n"
    assert note.open(note.sign(text, [ALICE, BOB]), [ALICE.verifier]).text == text


@pytest.mark.verifies("REQ-AUD-010")
def test_all_known_signers_are_named_once():
    found = note.open(SIGNED + LINE, [ALICE.verifier])
    assert [one.name for one in found.verified] == [ALICE.name]


def test_bytes_and_text_are_opened_alike():
    assert note.open(SIGNED.encode(), [ALICE.verifier]) == note.open(SIGNED, [ALICE.verifier])


@pytest.mark.verifies("REQ-AUD-010")
def test_a_key_with_a_known_name_and_another_id_is_unknown():
    other = note.Signer.generate(ALICE.name, b"c" * 32)
    found = note.open(note.sign(TEXT, [other, ALICE]), [ALICE.verifier])
    assert [one.key_id for one in found.unverified] == [other.verifier.key_hash]


def test_a_key_with_a_known_id_and_another_name_is_unknown():
    foreign = line("mallory.example", ALICE.verifier.key_hash, b"s" * 64)
    found = note.open(SIGNED + foreign, [ALICE.verifier])
    assert [one.name for one in found.unverified] == ["mallory.example"]


def test_signatures_of_unknown_algorithms_are_ignored():
    foreign = line("witness.example", b"wxyz", b"s" * 2420)
    assert note.open(SIGNED + foreign, [ALICE.verifier]).text == TEXT


def test_one_bad_signature_by_a_known_key_rejects_a_note_that_another_signed():
    bad = line(BOB.name, BOB.verifier.key_hash, b"s" * 64)
    with pytest.raises(SignatureInvalid):
        note.open(SIGNED + bad, [ALICE.verifier, BOB.verifier])


@pytest.mark.verifies("REQ-AUD-010")
def test_a_second_signature_by_a_known_key_is_verified_as_well():
    bad = line(ALICE.name, ALICE.verifier.key_hash, b"s" * 64)
    with pytest.raises(SignatureInvalid):
        note.open(SIGNED + bad, [ALICE.verifier])


def test_a_signature_of_another_length_by_a_known_key_is_refused():
    with pytest.raises(SignatureInvalid):
        note.open(TEXT + "\n" + line(ALICE.name, ALICE.verifier.key_hash, b"s" * 63), [ALICE.verifier])


def test_a_signature_whose_s_is_not_reduced_is_refused():
    # RFC 8032 section 5.1.7, step 1: S + L verifies the same equation and must not pass.
    order = 2**252 + 27742317777372353535851937790883648493
    raw = ALICE.sign(TEXT.encode())
    raised = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(SignatureInvalid):
        note.open(TEXT + "\n" + line(ALICE.name, ALICE.verifier.key_hash, raised), [ALICE.verifier])


@pytest.mark.verifies("REQ-AUD-010")
def test_a_changed_text_is_refused():
    with pytest.raises(SignatureInvalid):
        note.open(SIGNED.replace("a text", "a test"), [ALICE.verifier])


def test_a_note_that_nobody_known_signed_is_refused():
    with pytest.raises(SignatureMissing):
        note.open(SIGNED, [BOB.verifier])


def test_a_key_that_was_given_twice_is_a_wrong_setting():
    with pytest.raises(SettingInvalid):
        note.open(SIGNED, [ALICE.verifier, ALICE.verifier])


@pytest.mark.parametrize("count", [16, 100])
def test_as_many_signatures_as_the_limit_are_read(count):
    foreign = "".join(line("w", at.to_bytes(4, "big"), b"s" * 64) for at in range(count - 1))
    assert note.open(SIGNED + foreign, [ALICE.verifier]).text == TEXT


def test_one_signature_more_than_the_limit_is_refused():
    foreign = "".join(line("w", at.to_bytes(4, "big"), b"s" * 64) for at in range(100))
    with pytest.raises(Malformed):
        note.open(SIGNED + foreign, [ALICE.verifier])


MALFORMED = {
    "empty": "",
    "text-alone": TEXT,
    "no-signature-line": TEXT + "\n",
    "no-empty-line": TEXT + LINE,
    "no-final-newline": SIGNED[:-1],
    "empty-line-after-signatures": SIGNED + "\n",
    "line-after-signatures": SIGNED + "more\n",
    "carriage-returns": SIGNED.replace("\n", "\r\n"),
    "tab": SIGNED.replace("a text", "a\ttext"),
    "nul": SIGNED.replace("a text", "a\x00text"),
    "lone-surrogate": SIGNED.replace("a text", "a\ud800text"),
    "not-utf-8": SIGNED.encode().replace(b"a text", b"a\xfftext"),
    "hyphen-for-dash": SIGNED.replace("\N{EM DASH}", "-"),
    "en-dash": SIGNED.replace("\N{EM DASH}", "\N{EN DASH}"),
    "two-spaces": SIGNED.replace("\N{EM DASH} ", "\N{EM DASH}  "),
    "no-name": SIGNED.replace(ALICE.name + " ", ""),
    "plus-in-name": SIGNED.replace(ALICE.name, "alice+log"),
    "no-break-space-in-name": SIGNED.replace(ALICE.name, "alice\u00a0log"),
    "no-signature": TEXT + "\n\N{EM DASH} alice.example/log \n",
    "no-space-after-name": TEXT + "\n\N{EM DASH} alice.example/log\n",
    "signature-of-key-id-alone": TEXT + "\n" + line(ALICE.name, ALICE.verifier.key_hash, b""),
    "base64-without-padding": SIGNED.replace("=\n", "\n"),
    "base64-url-alphabet": TEXT + "\n" + line("a", b"\xff\xff\xff\xff", b"\xff" * 5).replace("/", "_"),
    "base64-stray-bits": TEXT + "\n" + line("a", b"aaaa", b"bbbb").replace("YmI=", "YmJ="),
    "base64-with-space": SIGNED.replace("=\n", "= \n"),
    "too-large": "a" * note.MAX_NOTE_BYTES + SIGNED,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_a_note_is_refused(text):
    with pytest.raises(Malformed):
        note.open(text, [ALICE.verifier])


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "surrogate \ud800\n"])
def test_a_text_that_no_note_may_hold_is_not_signed(text):
    with pytest.raises(Malformed):
        note.sign(text, [ALICE])


def test_a_text_without_a_signer_is_no_note():
    with pytest.raises(Malformed):
        note.sign(TEXT, [])


def _vectors(*folders):
    paths = [path for folder in folders for path in sorted((VECTORS / folder).iterdir())]
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.fixture(scope="module")
def known():
    return note.Verifier.parse((VECTORS / "alice.vkey").read_text("utf-8").strip())


@_vectors("opened")
def test_a_note_in_a_lawful_form_is_opened(path, known):
    assert [one.name for one in note.open(path.read_bytes(), [known]).verified] == [known.name]


@_vectors(*REFUSALS)
def test_a_note_with_a_mutation_is_refused_for_what_its_folder_says(path, known):
    with pytest.raises(REFUSALS[path.parent.name]):
        note.open(path.read_bytes(), [known])
