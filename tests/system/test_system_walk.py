"""The way of a user: start it, send images in every format, prove the answers, ask what there is to ask."""

import base64
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from audit import evidence, note, receipt, record
from audit.receipt import Policy
from service.adapters.tokens import SCOPES
from tests.image_corpus import BUNDLED, LOSSLESS, LOSSY, NATIVE, compressed, native, phantom
from tests.system.running import Client, eventually

pytestmark = pytest.mark.system

REVOKED_WITHIN_S = 10.0
PUBLISHED_WITHIN_S = 10.0
MODEL = Path(__file__).resolve().parents[2] / "service" / "models" / "ct-lesion-demo" / "1.0.0"
MEDIA_TYPES = {".dcm": "application/dicom", ".png": "image/png", ".jpg": "image/jpeg"}
SAMPLES = sorted(path for path in (MODEL / "samples").iterdir() if path.suffix in MEDIA_TYPES)
FAMILIAR = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm")
"""CT slices among pydicom's own files."""


@pytest.fixture
def client(server):
    with server.client() as opened:
        yield opened


@pytest.fixture
def anyone(server):
    """A client without a token."""
    with server.client(None) as opened:
        yield opened


@pytest.fixture(scope="module")
def key(server):
    return server.medai("audit", "key").stdout.strip()


@pytest.fixture(scope="module")
def saved(server, ct_slice, tmp_path_factory):
    """An answer, as a user saves it."""
    path = tmp_path_factory.mktemp("saved") / "answer.json"
    with server.client() as client:
        path.write_bytes(client.infer(ct_slice).body)
    return path


@pytest.fixture(scope="module")
def altered(saved):
    """The saved answer with another probability, by one digit."""
    body = saved.read_bytes()
    digit = re.search(rb'"probability_ppm":(\d)', body)
    assert digit is not None
    path = saved.with_name("altered.json")
    other = b"8" if digit[1] != b"8" else b"7"
    path.write_bytes(body[: digit.start(1)] + other + body[digit.end(1) :])
    return path


def _verdict(answer, key):
    return evidence.check_answer(answer.body, Policy(logs=(note.Verifier.parse(key),))).exit_code


def _slice_in(syntax):
    """A CT slice of 64 times 96 in a transfer syntax."""
    bits = 8 if syntax in LOSSY else 12
    pixels = phantom(64, 96, bits=bits)
    return native(pixels, syntax, bits=bits) if syntax in NATIVE else compressed(pixels, syntax, bits=bits)


class TestTokens:
    @pytest.mark.parametrize("scope", SCOPES)
    def test_the_first_start_writes_a_token_that_its_owner_alone_can_read(self, server, scope):
        path = server.home / "tokens" / scope
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_the_tokens_themselves_are_not_in_the_book_of_tokens(self, server):
        book = (server.home / "tokens.json").read_text("utf-8")
        assert [scope for scope in SCOPES if server.token(scope) in book] == []

    def test_no_token_is_printed_at_the_start(self, server):
        said = server.log.read_text("utf-8")
        assert [scope for scope in SCOPES if server.token(scope) in said] == []

    def test_a_token_is_issued_alone_on_its_line(self, server):
        assert re.fullmatch(r"medai_\S+\n", server.medai("token", "issue", "ward-1", "--scope", "infer").stdout)

    def test_an_issued_token_works_without_a_restart(self, server, ct_slice):
        token = server.medai("token", "issue", "ward-2", "--scope", "infer").stdout.strip()
        with Client(server.port, token) as client:
            assert eventually(lambda: client.infer(ct_slice).status == 200, REVOKED_WITHIN_S)

    def test_a_revoked_token_stops_working_without_a_restart(self, server, ct_slice):
        token = server.medai("token", "issue", "ward-3", "--scope", "infer").stdout.strip()
        server.medai("token", "revoke", "ward-3")

        def is_refused_by_all() -> bool:
            return {_status_of(server.port, token, ct_slice) for _ in range(8)} == {401}

        assert eventually(is_refused_by_all, REVOKED_WITHIN_S)

    def test_tokens_are_listed_by_name_and_scope(self, server):
        server.medai("token", "issue", "ward-4", "--scope", "infer", "--scope", "audit.read")
        assert re.search(r"(?m)^ward-4  audit\.read,infer  ", server.medai("token", "list").stdout)


def _status_of(port, token, body):
    with Client(port, token) as client:
        return client.infer(body).status


class TestFormats:
    @pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
    def test_each_sample_of_the_model_is_answered_with_a_proof(self, client, key, sample):
        assert _verdict(client.infer(sample.read_bytes(), MEDIA_TYPES[sample.suffix]), key) == 0

    @pytest.mark.parametrize("name", FAMILIAR)
    def test_each_ct_slice_that_pydicom_bundles_is_answered_with_a_proof(self, client, key, name):
        assert _verdict(client.infer((BUNDLED / "test_files" / name).read_bytes()), key) == 0

    @pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *LOSSY], ids=lambda syntax: syntax.keyword)
    def test_each_transfer_syntax_is_answered_with_a_proof(self, client, key, syntax):
        assert _verdict(client.infer(_slice_in(syntax)), key) == 0

    def test_a_form_with_one_part_is_answered_like_its_content(self, client, ct_slice):
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.dcm"\r\n\r\n'
        form = head + ct_slice + b"\r\n--x--\r\n"
        both = [client.infer(form, "multipart/form-data; boundary=x"), client.infer(ct_slice)]
        first, second = (answer.json() for answer in both)
        assert (first["input"], first["finding"]) == (second["input"], second["finding"])

    def test_the_positive_sample_is_found_positive(self, client):
        answer = client.infer((MODEL / "samples" / "positive.dcm").read_bytes())
        assert answer.json()["finding"]["decision"] == "positive"

    def test_a_blank_sample_is_abstained_on(self, client):
        answer = client.infer((MODEL / "samples" / "blank.png").read_bytes(), "image/png")
        assert answer.json()["finding"]["decision"] == "abstain"

    def test_a_slice_that_does_not_say_its_units_is_abstained_on(self, client):
        bare = native(phantom(64, 96), NATIVE[1], bits=12, RescaleSlope=None, RescaleIntercept=None)
        assert client.infer(bare).json()["finding"] == {"decision": "abstain", "reasons": ["units_unknown"]}

    def test_every_answer_says_that_it_is_not_for_clinical_use(self, client, ct_slice):
        assert "not for clinical use" in client.infer(ct_slice).json()["intended_use"].lower()


class TestProofs:
    def test_a_saved_answer_is_verified_by_the_command_line(self, server, saved):
        assert server.medai("audit", "verify", "--answer", str(saved)).returncode == 0

    def test_its_receipt_alone_is_verified_by_the_command_line(self, server, saved):
        path = saved.with_suffix(".tlog-proof")
        path.write_text(json.loads(saved.read_bytes())["ledger"]["proof"], "utf-8")
        assert server.medai("audit", "verify", "--receipt", str(path)).returncode == 0

    def test_an_altered_answer_is_refused_by_the_command_line(self, server, altered):
        assert server.medai("audit", "verify", "--answer", str(altered)).returncode == 1

    @pytest.mark.parametrize("given, code", [("saved", 0), ("altered", 1)])
    def test_the_verifier_that_stands_alone_says_the_same(self, request, key, repository, given, code):
        path = request.getfixturevalue(given)
        verifier = repository / "audit" / "verifier.py"
        done = subprocess.run([sys.executable, "-I", "-S", verifier, "--key", key, path], capture_output=True)
        assert done.returncode == code

    def test_an_answer_under_a_key_of_somebody_else_is_unattested(self, server, saved):
        stranger = str(note.Signer.generate("log.example/other", bytes(32)).verifier)
        assert server.medai("audit", "verify", "--answer", str(saved), "--key", stranger).returncode == 3

    def test_a_file_that_is_not_there_is_a_matter_of_usage(self, server, tmp_path):
        assert server.medai("audit", "verify", "--receipt", str(tmp_path / "nothing")).returncode == 2

    def test_a_record_is_shown_with_the_ids_of_its_answer(self, server, saved):
        answer = json.loads(saved.read_bytes())
        assert answer["request_id"] in server.medai("audit", "record", str(answer["ledger"]["index"])).stdout

    def test_the_receipt_of_an_old_record_is_made_anew_on_request(self, server, saved, key):
        answer = json.loads(saved.read_bytes())
        words = ("audit", "record", str(answer["ledger"]["index"]), "--receipt")
        # A checkpoint that covers it is published within the anchor interval.
        assert eventually(lambda: server.medai(*words).returncode == 0, PUBLISHED_WITHIN_S)
        anew = server.medai(*words).stdout
        verdict = evidence.check_receipt(anew, Policy(logs=(note.Verifier.parse(key),)))
        assert (verdict.exit_code, receipt.parse(anew).extra) == (0, receipt.parse(answer["ledger"]["proof"]).extra)

    def test_a_record_that_is_not_there_yet_is_a_matter_of_usage(self, server):
        assert server.medai("audit", "record", "999999999").returncode == 2

    def test_the_whole_ledger_is_valid_while_the_service_writes(self, server):
        done = server.medai("audit", "verify")
        assert (done.returncode, done.stdout[:22]) == (0, "valid up to the anchor"), done.stdout

    def test_a_ledger_without_its_anchors_is_unattested_and_the_missing_folder_is_named(self, server, tmp_path):
        nowhere = tmp_path / "nowhere"
        done = server.medai("audit", "verify", settings={"MEDAI_ANCHOR_FOLDER": str(nowhere)})
        assert (done.returncode, f"no anchor folder at {nowhere}: set MEDAI_ANCHOR_FOLDER" in done.stderr) == (3, True)

    def test_a_file_in_place_of_the_anchor_folder_cannot_be_read(self, server, tmp_path):
        (tmp_path / "file").touch()
        done = server.medai("audit", "verify", settings={"MEDAI_ANCHOR_FOLDER": str(tmp_path / "file")})
        assert (done.returncode, "anchor folder: cannot be read" in done.stderr) == (2, True)

    def test_no_record_holds_anything_that_the_file_says_of_its_patient(self, server, entries_of, client, ct_slice):
        index = client.infer(ct_slice).index
        # CT_small.dcm: PatientName CompressedSamples^CT1, PatientID 1CT1, StudyInstanceUID 1.3.6.1.4.1.5962...
        words = (b"CompressedSamples", b"1CT1", b"1.3.6.1.4.1.5962")
        assert [word for word in words if word in entries_of(server)[index].body] == []


class TestModels:
    def test_the_shipped_model_is_listed(self, server):
        assert "ct-lesion-demo@1.0.0" in server.medai("model", "list").stdout

    def test_the_shipped_model_verifies(self, server):
        assert server.medai("model", "verify").returncode == 0

    def test_the_version_names_the_model_by_its_digest(self, anyone, client, ct_slice):
        listed = anyone.get("/version").json()["models"][0]
        used = client.infer(ct_slice).json()["model"]
        assert {name: listed[name] for name in used} == used


class TestPublicPages:
    def test_the_health_is_ok(self, anyone):
        assert anyone.get("/health").json() == {"status": "ok"}

    def test_the_version_names_the_key_that_auditors_are_given(self, anyone, key):
        assert anyone.get("/version").json()["ledger"]["verifier_key"] == key

    def test_the_openapi_document_describes_the_inference(self, anyone):
        assert "post" in anyone.get("/openapi.json").json()["paths"]["/infer"]

    def test_the_documentation_loads_nothing_from_elsewhere(self, anyone):
        page = anyone.get("/docs").body.decode()
        named = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert named
        assert [(name, anyone.get(name).status) for name in named if anyone.get(name).status != 200] == []

    def test_pages_that_are_asked_for_again_and_again_are_folded_into_one_record(self, server, anyone):
        # A minute may end between two of them, so three are enough to share one.
        indexes = [anyone.get("/docs").index for _ in range(3)]
        assert len(set(indexes)) < 3


class TestRefusals:
    @pytest.mark.parametrize("method, target, status, code", [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/docs/nothing.js", 404, "not_found"),
        ("DELETE", "/infer", 405, "method_not_allowed"),
        ("GET", "/infer", 405, "method_not_allowed"),
        ("POST", "/infer", 401, "unauthenticated"),
        ("POST", "/health", 405, "method_not_allowed"),
    ])  # fmt: skip
    def test_a_stranger_gets_a_problem_that_is_on_record(
        self, server, entries_of, anyone, method, target, status, code
    ):
        correlation_id = str(uuid4())
        answer = anyone.send(method, target, headers={"X-Correlation-ID": correlation_id})
        entry = entries_of(server)[answer.index].record
        assert (answer.status, answer.code, entry.status, entry.code, entry.correlation_id) == (
            status, code, status, code, correlation_id,
        )  # fmt: skip

    @pytest.mark.parametrize("body, headers, query, status, code", [
        (b"no image", {"Content-Type": "application/dicom"}, "", 422, "decode_failed"),
        (b"{}", {"Content-Type": "application/json"}, "", 415, "media_unsupported"),
        (b"x", {"Content-Type": "image/png"}, "?frames=1", 422, "request_invalid"),
        (b"x", {"Content-Type": "image/png"}, "?model=nobody", 422, "model_unknown"),
        (b"x", {"Content-Type": "image/png", "Accept": "text/html"}, "", 406, "not_acceptable"),
        (None, {"Content-Type": "image/png", "Content-Length": str(1 << 40)}, "", 413, "body_too_large"),
    ])  # fmt: skip
    def test_a_caller_gets_a_problem_with_the_index_of_its_record(self, client, body, headers, query, status, code):
        answer = client.send("POST", f"/infer{query}", body, headers)
        assert (answer.status, answer.code, answer.json()["ledger_index"]) == (status, code, answer.index)

    def test_a_token_without_the_scope_is_forbidden(self, server, ct_slice):
        with server.client("audit.read") as client:
            assert client.infer(ct_slice).code == "forbidden"

    def test_a_modality_that_the_card_does_not_admit_is_refused(self, client):
        answer = client.infer((BUNDLED / "test_files" / "MR_small.dcm").read_bytes())
        assert (answer.status, answer.code) == (422, "outside_intended_use")

    def test_a_transfer_syntax_that_is_not_read_is_named(self, client):
        answer = client.infer((BUNDLED / "test_files" / "JPEG-lossy.dcm").read_bytes())
        assert (answer.status, "1.2.840.10008.1.2.4.51" in answer.json()["detail"]) == (415, True)


class TestMetrics:
    def test_they_count_what_all_workers_did_whichever_answers(self, server, ct_slice):
        before = _findings(server)
        for _ in range(20):
            with server.client() as client:  # a connection each, so that both workers get some
                client.infer(ct_slice)
        assert {_findings(server) for _ in range(8)} == {before + 20}

    def test_no_line_of_them_holds_a_token_or_an_address(self, server):
        text = server.internal("/metrics").body.decode()
        assert [
            word for word in (*(server.token(scope) for scope in SCOPES), "dev-infer", "127.0.0.1") if word in text
        ] == []


def _findings(server):
    lines = server.internal("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("medai_findings_total{"))


def test_both_workers_are_on_record_as_started_with_the_model(server, entries_of, saved):
    model = json.loads(saved.read_bytes())["model"]
    started = [entry.record for entry in entries_of(server) if isinstance(entry.record, record.ServiceStarted)]
    assert [one.models[0].sha256 for one in started] == [model["sha256"]] * server.workers


def test_the_key_is_a_c2sp_verifier_key_of_ed25519(key):
    assert base64.b64decode(key.split("+", 2)[2])[0] == 1
