"""The children that decode: what they may take, what they know, and what becomes of a request that loses its child."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from service.adapters.decoders import DecoderPool
from service.adapters.decoders_parent import PoolSettings
from service.adapters.images_attributes import PixelLayout
from service.adapters.images_dicom import CompressedFrame
from service.errors import DecodeFailed, Overloaded, SettingInvalid
from tests.image_corpus import codestream, phantom

pytestmark = pytest.mark.anyio

SECRET = "MEDAI_TEST_SECRET"


def job(pixels: np.ndarray, syntax: uid.UID = uid.JPEGLSLossless, *, frame: bytes | None = None) -> CompressedFrame:
    layout = PixelLayout(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples=1,
        photometric="MONOCHROME2",
        planar=0,
        bits_allocated=16,
        bits_stored=16,
        signed=0,
    )
    return CompressedFrame(syntax=str(syntax), layout=layout, frame=frame or codestream(pixels, syntax, bits=16))


def slow_job(side: int = 2048) -> CompressedFrame:
    """Four million runs of two bytes: RLE is decoded in Python, so this takes a child a second or so."""
    rows = columns = side
    segment = b"\xff\x07" * (rows * columns // 2)
    header = struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13)
    return job(np.empty((rows, columns), np.uint16), uid.RLELossless, frame=header + segment + segment)


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DecoderPool]:
    monkeypatch.setenv(SECRET, "not for children")
    pool = DecoderPool(PoolSettings(workers=1, memory_mib=256))
    await pool.start()
    yield pool
    await pool.close()


async def decode(pool: DecoderPool, one: CompressedFrame, *, deadline_ms: int = 20_000) -> np.ndarray:
    return await pool.decode(one, lambda samples: samples, deadline_ms=deadline_ms)


def seen_of(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def open_in(pid: int) -> set[str]:
    """What a process has open, by kind or name."""
    return {os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()}


def running(pid: int) -> bool:
    try:
        state = seen_of(pid, "stat").rsplit(b")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != b"Z"


async def test_samples_come_back_as_they_were_compressed(pool: DecoderPool) -> None:
    assert np.array_equal(await decode(pool, job(phantom(300, 200, bits=16))), phantom(300, 200, bits=16))


async def test_samples_larger_than_a_pipe_come_back_whole(pool: DecoderPool) -> None:
    pixels = phantom(1500, 1400, bits=16)
    assert np.array_equal(await decode(pool, job(pixels)), pixels)


async def test_bytes_that_are_no_image_are_refused_and_the_child_stays(pool: DecoderPool) -> None:
    before = pool.pids()
    with pytest.raises(DecodeFailed):
        await decode(pool, job(phantom(), frame=b"\xff\xd8 nothing"))
    assert pool.pids() == before


@pytest.mark.verifies("REQ-INF-032")
async def test_a_child_killed_while_it_decodes_costs_its_request_alone(pool: DecoderPool) -> None:
    under_way = asyncio.create_task(decode(pool, slow_job()))
    await asyncio.sleep(0.02)
    os.kill(pool.pids()[0], signal.SIGKILL)
    with pytest.raises(DecodeFailed):
        await under_way
    assert np.array_equal(await decode(pool, job(phantom())), phantom())


@pytest.mark.verifies("REQ-INF-032")
async def test_a_child_killed_while_idle_costs_one_request_at_most(pool: DecoderPool) -> None:
    os.kill(pool.pids()[0], signal.SIGKILL)
    with pytest.raises(DecodeFailed):
        await decode(pool, job(phantom()))
    assert np.array_equal(await decode(pool, job(phantom())), phantom())


@pytest.mark.verifies("REQ-INF-032")
async def test_a_job_beyond_its_deadline_is_refused_and_its_child_replaced(pool: DecoderPool) -> None:
    before = pool.pids()
    with pytest.raises(DecodeFailed):
        await decode(pool, slow_job(), deadline_ms=1)
    assert pool.pids() != before
    assert not running(before[0])
    assert np.array_equal(await decode(pool, job(phantom())), phantom())


@pytest.mark.verifies("REQ-INF-032")
async def test_a_job_beyond_its_cpu_time_is_refused() -> None:
    pool = DecoderPool(PoolSettings(workers=1, cpu_seconds=1))
    await pool.start()
    before = pool.pids()
    with pytest.raises(DecodeFailed):
        await decode(pool, slow_job(6144), deadline_ms=60_000)
    assert not running(before[0])
    await pool.close()


@pytest.mark.verifies("REQ-INF-032")
async def test_a_job_that_needs_more_memory_than_allowed_is_refused_and_the_next_one_decoded(
    pool: DecoderPool,
) -> None:
    big = phantom(64, 64, bits=16)
    claims = codestream(big, uid.JPEGLSLossless, bits=16).replace(b"\x00\x40\x00\x40", b"\xff\xff\xff\xff", 1)
    with pytest.raises(DecodeFailed):
        await decode(pool, job(big, frame=claims))
    assert np.array_equal(await decode(pool, job(phantom())), phantom())


async def test_a_full_queue_refuses_the_next_job_as_overloaded() -> None:
    pool = DecoderPool(PoolSettings(workers=1, queue_limit=1))
    await pool.start()
    waiting = [asyncio.create_task(decode(pool, slow_job())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await decode(pool, job(phantom()))
    await asyncio.gather(*waiting)
    assert np.array_equal(await decode(pool, job(phantom())), phantom())
    await pool.close()


async def test_a_cancelled_request_leaves_the_pool_usable(pool: DecoderPool) -> None:
    cancelled = asyncio.create_task(decode(pool, slow_job()))
    await asyncio.sleep(0.02)
    cancelled.cancel()
    assert np.array_equal(await decode(pool, job(phantom())), phantom())


@pytest.mark.verifies("REQ-SEC-017")
async def test_a_child_inherits_no_descriptor_but_its_pipes(pool: DecoderPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        fresh = DecoderPool(PoolSettings(workers=1))
        await fresh.start()
        open_files = open_in(fresh.pids()[0])
        await fresh.close()
    assert open_files == {"/dev/null", "pipe"}


async def test_a_child_has_nothing_of_the_parents_environment(pool: DecoderPool) -> None:
    names = {entry.split(b"=")[0] for entry in seen_of(pool.pids()[0], "environ").split(b"\0")}
    allowed = {b"", b"OMP_NUM_THREADS", b"OPENBLAS_NUM_THREADS", b"LC_ALL", b"PYTHONPATH", b"LD_LIBRARY_PATH"}
    assert names <= allowed


async def test_a_child_has_hard_limits_for_memory_files_and_dumps(pool: DecoderPool) -> None:
    lines = seen_of(pool.pids()[0], "limits").decode("ascii").splitlines()
    hard = {line[:26].strip(): line[26:].split()[1] for line in lines[1:]}
    assert hard["Max core file size"] == "0"
    assert hard["Max file size"] == "0"
    assert hard["Max open files"] == "16"
    assert int(hard["Max address space"]) < 1 << 30


async def test_a_child_runs_under_a_filter_and_cannot_gain_privileges(pool: DecoderPool) -> None:
    status = seen_of(pool.pids()[0], "status").decode("ascii")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")  # SECCOMP_MODE_FILTER


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "socket.socket()",
        "os.fork()",
        "os.kill(os.getppid(), 0)",
        "os.execv('/bin/true', ['true'])",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (9, 9))",
    ],
)
def test_the_filter_refuses_what_decoding_does_not_need(attempt: str) -> None:
    script = f"""
import ctypes, os, resource, socket
from service.adapters.decoders_seccomp import confine_calls
prctl = ctypes.CDLL(None).prctl
prctl(38, 1, 0, 0, 0)
confine_calls(prctl)
try:
    {attempt}
except PermissionError:
    os.write(1, b"refused")
os._exit(0)
"""
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert outcome.stdout == b"refused"


def test_children_die_with_a_parent_that_is_killed() -> None:
    script = """
import asyncio, os, signal
from service.adapters.decoders import DecoderPool
from service.adapters.decoders_parent import PoolSettings
async def main():
    pool = DecoderPool(PoolSettings(workers=2))
    await pool.start()
    print(*pool.pids(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    pids = [int(pid) for pid in parent.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(running(pid) for pid in pids)


async def test_closing_leaves_no_child() -> None:
    pool = DecoderPool(PoolSettings(workers=2))
    await pool.start()
    pids = pool.pids()
    await pool.close()
    assert not any(running(pid) for pid in pids)


async def test_after_closing_a_job_is_refused(pool: DecoderPool) -> None:
    await pool.close()
    with pytest.raises(DecodeFailed):
        await decode(pool, job(phantom()))


async def test_a_pool_whose_children_cannot_start_in_time_does_not_start() -> None:
    pool = DecoderPool(PoolSettings(workers=1, startup_ms=1))
    with pytest.raises(SettingInvalid):
        await pool.start()
    assert pool.pids() == (0,)
