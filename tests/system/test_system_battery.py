"""Everything that pydicom bundles, two thousand damaged images and two bombs: an answer or a refusal with a code."""

import http.client
import queue
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from msgspec import Struct
from pydicom import uid

from audit import evidence, note
from audit.receipt import Policy
from service.http.problems import TABLE
from tests.image_corpus import bundled, mutants, native, phantom, seeds
from tests.pixel_references import digest, readable, with_modality
from tests.system import processes
from tests.system.running import Client, Response, Server, serving

pytestmark = pytest.mark.system

CLIENTS = 4  # as many as a worker lets run at once: nobody is refused for want of a place
MUTANTS = 2_000
SEED = 20_261
WARM_UP = 500
"""Images after which decoders, models and allocators hold what they will hold."""
GROWTH_MIB = 48
"""What 1,500 more images may add to two workers and their decoders together: if each left 32 KB behind, half of
what even these small images take while they are judged, it would be more."""
INFLATED_MIB = 32
"""The setting that the server is given; the bombs have 161 and 384."""
BOMB_MIB = 80
"""What a refused bomb may add to a process's peak: the limit, held twice while zlib's pieces are joined, and some."""


class Sent(Struct, frozen=True, kw_only=True):
    name: str
    response: Response


class Battery(Struct, frozen=True, kw_only=True):
    files: list[Sent]
    mutants: list[Sent]
    grown_mib: int
    workers_before: list[int]
    workers_after: list[int]

    @property
    def all(self) -> list[Sent]:
        return self.files + self.mutants


@pytest.fixture(scope="module")
def served(tmp_path_factory, broad_folder) -> Iterator[Server]:
    settings = {"MEDAI_MODEL_FOLDERS": str(broad_folder), "MEDAI_MAX_INFLATED_BYTES": str(INFLATED_MIB << 20)}
    with serving(tmp_path_factory.mktemp("battery") / "home", settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def battery(served) -> Battery:
    before = [process.pid for process in served.worker_processes()]
    files = [
        (f"{name}, {query}", "application/dicom", body, query)
        for name, body in bundled()
        for query in ("model=ct-lesion-demo", "model=broad-grey", "model=broad-rgb", "model=broad-grey&frame=1")
    ]
    answers = _send_all(served, files)
    damaged = [(name, kind, body, _query(name)) for name, kind, body in mutants(SEED, MUTANTS)]
    mutated = _send_all(served, damaged[:WARM_UP])
    warm = processes.resident_mib(served.service_tree())
    mutated += _send_all(served, damaged[WARM_UP:])
    return Battery(
        files=answers,
        mutants=mutated,
        grown_mib=processes.resident_mib(served.service_tree()) - warm,
        workers_before=before,
        workers_after=[process.pid for process in served.worker_processes()],
    )


@pytest.fixture
def client(served) -> Iterator[Client]:
    with served.client() as opened:
        yield opened


def test_every_bundled_file_is_answered_by_every_model(battery):
    assert len(battery.files) == 4 * len(bundled())


def test_every_damaged_image_is_answered(battery):
    assert len(battery.mutants) == MUTANTS


def test_no_answer_is_anything_but_a_finding_or_a_refusal_of_the_request(battery):
    other = [one for one in battery.all if one.response.status != 200 and not 400 <= one.response.status < 500]
    assert other == []


def test_every_refusal_has_a_code_of_the_table(battery):
    refused = [one for one in battery.all if one.response.status != 200]
    assert [one for one in refused if TABLE[one.response.code or ""][0] != one.response.status] == []


def test_every_answer_names_its_record(battery):
    assert [one for one in battery.all if not one.response.is_recorded] == []


def test_every_finding_verifies_offline(battery, served):
    policy = Policy(logs=(note.Verifier.parse(served.medai("audit", "key").stdout.strip()),))
    found = [one for one in battery.all if one.response.status == 200]
    assert [one.name for one in found if evidence.check_answer(one.response.body, policy).exit_code != 0] == []


def test_some_of_each_are_there_or_the_battery_shows_little(battery):
    codes = Counter(one.response.code for one in battery.all)
    assert min(codes[None], codes["decode_failed"], codes["outside_intended_use"]) > 50


def test_no_worker_died_of_it(battery):
    assert battery.workers_after == battery.workers_before


def test_the_service_does_not_grow(battery):
    assert battery.grown_mib < GROWTH_MIB


def test_every_undamaged_image_is_answered_as_before(battery, served):
    images = [(name, kind, body, _query(name)) for name, kind, body in seeds()]
    once, again = ({one.name: one.response.json()["finding"] for one in _send_all(served, images)} for _ in range(2))
    assert once == again


def test_every_frame_that_pydicom_can_decode_was_judged_by_the_pixels_that_pydicom_finds(served):
    expected, frames = {}, []
    for name, pixels in readable().items():
        body, color = with_modality(name), "rgb" if pixels.ndim == 4 else "grey"
        for number, frame in enumerate(pixels, 1):
            expected[f"{name}, frame {number}"] = digest(frame)
            frames.append((f"{name}, frame {number}", "application/dicom", body, f"model=broad-{color}&frame={number}"))
    found = {one.name: one.response.json().get("input", {}).get("pixels_sha256") for one in _send_all(served, frames)}
    assert found == expected


@pytest.mark.parametrize("bomb", ["png", "deflated"])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(bomb, served, client):
    body, media_type = (png_bomb(), "image/png") if bomb == "png" else (deflated_bomb(), "application/dicom")
    for process in served.service_tree():
        processes.forget_peak(process)
    before = {process: processes.resident_mib((process,)) for process in served.service_tree()}
    answer = client.infer(body, media_type, "model=broad-grey")
    swollen = [process for process, mib in before.items() if processes.peak_mib(process) - mib > BOMB_MIB]
    assert (answer.status, answer.code, swollen) == (413, "image_too_large", [])


def png_bomb() -> bytes:
    """13,000 times 13,000 black pixels in some 164 KB."""
    side = 13_000
    header = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    content = _deflated(b"\0" * (1 + side), side, zlib.compressobj(9))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def deflated_bomb() -> bytes:
    """A DICOM file of some 400 KB whose data set has 384 MiB."""
    small = native(phantom(), uid.DeflatedExplicitVRLittleEndian, bits=12)
    # PS3.10 section 7.1: (0002,0000) is the length of what follows it in the group that is not deflated.
    begins = 144 + struct.unpack_from("<L", small, 140)[0]
    return small[:begins] + _deflated(b"\0" * (1 << 20), 384, zlib.compressobj(9, wbits=-zlib.MAX_WBITS))


def _deflated(part: bytes, count: int, compressor: "zlib._Compress") -> bytes:
    return b"".join(compressor.compress(part) for _ in range(count)) + compressor.flush()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def _query(name: str) -> str:
    color, frame = "rgb" if "colour" in name else "grey", "&frame=2" if "frames" in name else ""
    return f"model=broad-{color}{frame}"


def _send_all(server: Server, images: Iterable[tuple[str, str, bytes, str]]) -> list[Sent]:
    """By several clients. One that gets no answer within a minute leaves the reason in place of the answer."""
    waiting: queue.SimpleQueue[tuple[str, str, bytes, str]] = queue.SimpleQueue()
    for image in images:
        waiting.put(image)
    answers: list[Sent] = []
    silence: list[str] = []

    def work() -> None:
        with server.client() as client:
            while True:
                try:
                    name, media_type, body, query = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    answers.append(Sent(name=name, response=client.infer(body, media_type, query)))
                except (OSError, http.client.HTTPException) as error:
                    silence.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert silence == []
    return answers
