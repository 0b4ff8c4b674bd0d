import ast
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import verifier
from tests import audit_vectors_policies

SOURCE = Path(verifier.__file__)
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "audit"
KEY = (VECTORS / "log.vkey").read_text(encoding="utf-8").strip()
TRUSTED = verifier.trusting([verifier.parse_key(KEY)])
POLICY = VECTORS / "cosigned" / "policy"
COSIGNED = sorted((VECTORS / "cosigned").glob("exit-*/*"))
RECEIPT = VECTORS / "receipt" / "exit-0" / "untouched.txt"

# RFC 8032 section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]


def run(*arguments):
    # -I -S: no site-packages and no environment, as on a machine with nothing installed.
    command = [sys.executable, "-I", "-S", str(SOURCE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_file_is_written_for_python_3_9():
    assert ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_file_imports_the_standard_library_only():
    nodes = ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8")))
    named = {
        name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."])
    }
    assert named <= sys.stdlib_module_names


@pytest.mark.verifies("REQ-AUD-011")
@pytest.mark.parametrize("secret, public, message, signature", RFC_8032)
def test_the_signatures_of_rfc_8032_verify(secret, public, message, signature):
    assert verifier.ed25519_verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.verifies("REQ-AUD-011")
@settings(max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.integers(0, 511))
def test_a_signature_verifies_and_with_one_bit_flipped_does_not(seed, message, bit):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    found = [verifier.ed25519_verify(public, message, bytes(one)) for one in (signature, flipped)]
    assert found == [True, False]


@pytest.mark.verifies("REQ-AUD-011")
@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_arbitrary_keys_and_signatures_are_judged_as_openssl_does(public, signature):
    assert verifier.ed25519_verify(public, b"message", signature) is _openssl(public, b"message", signature)


@pytest.mark.verifies("REQ-AUD-011")
@pytest.mark.parametrize("added", [verifier.L, 2 * verifier.L])
def test_a_signature_whose_s_is_not_reduced_does_not_verify(added):
    _, public, message, signature = (bytes.fromhex(text) for text in RFC_8032[1])
    raised = int.from_bytes(signature[32:], "little") + added
    assert not verifier.ed25519_verify(public, message, signature[:32] + raised.to_bytes(32, "little"))


@pytest.mark.verifies("REQ-AUD-011")
@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_does_not_verify(length):
    assert not verifier.ed25519_verify(bytes.fromhex(RFC_8032[0][1]), b"", bytes(length))


@pytest.mark.parametrize("encoded", [2**255 - 19, 2**255 - 1, 2, 1 | 1 << 255], ids=hex)
def test_what_encodes_no_point_is_no_key(encoded):
    # RFC 8032 section 5.1.3: y beyond the prime, no square root, and x = 0 with the sign bit set.
    assert verifier.decompress(encoded.to_bytes(32, "little")) is None


def test_a_receipt_verifies_where_nothing_is_installed():
    assert run("--key", KEY, RECEIPT).returncode == 0


def test_an_answer_verifies_with_the_key_in_a_file():
    assert run("--key", VECTORS / "log.vkey", VECTORS / "answer" / "exit-0" / "untouched.json").returncode == 0


def test_a_valid_receipt_is_explained_step_by_step_with_what_it_cannot_show():
    said = run("--key", KEY, RECEIPT).stdout.splitlines()
    assert [line[:2] for line in said] == ["- ", "- ", "- ", "- ", "VE", "  ", "  ", "  "]


def test_the_verdict_says_who_signed_and_that_nobody_witnessed():
    name, key_id, _ = KEY.split("+", 2)
    assert f"signed by {name}+{key_id}; not witnessed." in run("--key", KEY, RECEIPT).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--key", KEY],
        [RECEIPT],
        ["--key", KEY, "no-such-file"],
        ["--key", KEY, VECTORS],
        ["--key", KEY, "nul\ud800"],
        ["--key", "no-such-key-file", RECEIPT],
        ["--key", "", RECEIPT],
        ["--key", RECEIPT, RECEIPT],
        ["--key", KEY[:-1], RECEIPT],
        ["--key", KEY.replace("+d", "+e"), RECEIPT],
        ["--key", KEY.upper(), RECEIPT],
        ["--key", KEY, "--key", KEY, RECEIPT],
        ["--unknown", "--key", KEY, RECEIPT],
        ["--policy", "no-such-file", RECEIPT],
        ["--policy", RECEIPT, RECEIPT],
        ["--policy", POLICY, "--key", KEY, RECEIPT],
        ["--policy", VECTORS / "policy" / "taken" / "no-log.policy", RECEIPT],
        ["--policy", VECTORS / "policy" / "taken" / "quorum-none.policy", "--key", KEY, RECEIPT],
    ],
    ids=str,
)
def test_wrong_usage_and_unreadable_files_end_with_two(arguments, capsys):
    assert _exit_code([str(argument) for argument in arguments]) == 2


def test_a_file_that_is_too_large_is_not_read(tmp_path, capsys):
    large = tmp_path / "large"
    large.write_bytes(b" " * (verifier.MAX_FILE_BYTES + 1))
    assert verifier.main(["--key", KEY, str(large)]) == 2


@pytest.mark.verifies("REQ-AUD-005")
def test_one_of_several_keys_suffices(capsys):
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert verifier.main(["--key", other, "--key", KEY, str(RECEIPT)]) == 0


@pytest.mark.parametrize("path", COSIGNED, ids=lambda path: f"{path.parts[-2]}/{path.stem}")
def test_a_cosigned_receipt_is_left_as_its_folder_says(path, capsys):
    assert f"exit-{verifier.main(['--policy', str(POLICY), str(path)])}" == path.parts[-2]


def test_a_witnessed_receipt_verifies_where_nothing_is_installed():
    said = run("--policy", POLICY, VECTORS / "cosigned" / "exit-0" / "witnessed-by-all.txt")
    assert (said.returncode, "; witnessed by W1, W2, W3 (3 of 3)." in said.stdout) == (0, True)


def test_a_quorum_that_is_not_met_is_told_with_who_cosigned(capsys):
    verifier.main(["--policy", str(POLICY), str(VECTORS / "cosigned" / "exit-3" / "witnessed-by-one.txt")])
    assert "witnessed by W1 (1 of 3), but your policy asks for 2 of W1, W2, W3." in capsys.readouterr().out


def test_a_policy_without_a_quorum_is_one_key_in_other_words(tmp_path, capsys):
    policy = tmp_path / "policy"
    policy.write_text(f"log {KEY}\nquorum none\n", "utf-8")
    assert verifier.main(["--policy", str(policy), str(RECEIPT)]) == 0


def test_a_policy_that_names_no_log_is_used_with_a_key(tmp_path, capsys):
    policy = tmp_path / "policy"
    policy.write_text("".join(POLICY.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")
    receipt = VECTORS / "cosigned" / "exit-0" / "witnessed-by-all.txt"
    assert verifier.main(["--policy", str(policy), "--key", KEY, str(receipt)]) == 0


@pytest.mark.verifies("REQ-AUD-017")
@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_are_broken_and_never_a_traceback(artefact):
    assert verifier.judge(artefact, TRUSTED)[0] == 1


@pytest.mark.verifies("REQ-AUD-017")
@given(data=st.data())
def test_a_receipt_with_arbitrary_bytes_inside_is_never_valid_and_never_a_traceback(data):
    body = bytearray(RECEIPT.read_bytes())
    at = data.draw(st.integers(0, len(body) - 2))
    body[at : at + 2] = data.draw(st.binary(min_size=3, max_size=6))
    assert verifier.judge(bytes(body), TRUSTED)[0] != 0


@pytest.mark.verifies("REQ-AUD-017")
def test_what_is_judged_cannot_write_to_the_terminal(capsys):
    verifier.say("\x1b[2Jwiped \N{EM DASH}")
    assert capsys.readouterr().out == "\\x1b[2Jwiped \\u2014\n"


def _exit_code(arguments):
    try:
        return verifier.main(arguments)
    except SystemExit as left:  # argparse leaves by itself
        return left.code


def _openssl(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_log_s_key_is_no_witness_of_the_log(tmp_path):
    key = audit_vectors_policies.LOG_ML_DSA
    policy = tmp_path / "policy"
    policy.write_text(f"witness W {key}\nquorum W\n", encoding="utf-8")
    assert verifier.main(["--policy", str(policy), "--key", str(key), str(RECEIPT)]) == verifier.USAGE
