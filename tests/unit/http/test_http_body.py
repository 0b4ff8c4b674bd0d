"""The body: bounded in bytes and time, refused by its headers where that is possible, and never on a disk."""

import asyncio

import pytest

from tests.http_fakes import OTHER_TOKEN

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32
DICOM = b"\x00" * 128 + b"DICM" + b"\x00" * 32
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 32
TOKEN = {"authorization": "Bearer medai_" + "t" * 43}
BOUNDARY = "----boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(content=PNG, *, name="image", media_type="image/png", filename="x"):
    lines = [f'Content-Disposition: form-data; name="{name}"; filename="{filename}"']
    if media_type is not None:
        lines.append(f"Content-Type: {media_type}")
    return b"--" + BOUNDARY.encode() + b"\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


async def read_before_answering(exchange):
    """How many chunks were read when the answer's first byte left; what is drained afterwards does not count."""
    read = []
    exchange.on_send = lambda message: read.append(exchange.read_chunks)
    await exchange.run()
    return read[0]


END = b"--" + BOUNDARY.encode() + b"--\r\n"


@pytest.mark.verifies("REQ-SEC-012")
@pytest.mark.parametrize(
    ("content", "media_type", "judged_as"),
    [
        (PNG, "image/png", "image/png"),
        (JPEG, "image/jpeg", "image/jpeg"),
        (DICOM, "application/dicom", "application/dicom"),
        (DICOM, "application/octet-stream", "application/dicom"),
        (PNG, "application/octet-stream", "image/png"),
        (JPEG, None, "image/jpeg"),
    ],
)
def test_a_form_with_one_image_is_judged_as_what_it_is(service, drive, content, media_type, judged_as):
    async def scenario():
        running = service()
        answer = await running.infer(part(content, media_type=media_type) + END, content_type=FORM)
        assert answer.status == 200, answer.body
        assert (running.requests[0].body, running.requests[0].media_type) == (content, judged_as)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-012")
@pytest.mark.parametrize(
    "form",
    [
        END,
        b"",
        b"no form at all",
        part(name="picture") + END,
        part() + part() + END,
        part(),
        part()[:-4] + b"\r\n",
        b"--" + BOUNDARY.encode() + b"\r\nContent-Type: image/png\r\n\r\nx\r\n" + END,
    ],
    ids=["no part", "nothing", "no form", "another name", "two parts", "no end", "cut", "no name"],
)
def test_a_form_that_is_not_one_image_is_refused(service, drive, form):
    async def scenario():
        answer = await service().infer(form, content_type=FORM)
        assert (answer.status, answer.json["code"]) == (422, "request_invalid")

    drive(scenario)


@pytest.mark.parametrize("media_type", ["text/html", "application/octet-stream"])
def test_a_part_that_is_no_image_we_read_is_refused_as_such(service, drive, media_type):
    async def scenario():
        answer = await service().infer(part(b"<html>", media_type=media_type) + END, content_type=FORM)
        assert (answer.status, answer.json["code"]) == (415, "media_unsupported")

    drive(scenario)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71, "; boundary=\xff"])
def test_a_form_needs_a_boundary_as_the_standard_has_it(service, drive, boundary):
    async def scenario():
        headers = {**TOKEN, "content-type": f"multipart/form-data{boundary}"}
        exchange = service().exchange("POST", "/infer", headers={}, body=part() + END)
        exchange.scope["headers"] = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await exchange.run()
        assert exchange.answer().status == 422

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-012")
def test_a_filename_goes_nowhere(service, drive):
    async def scenario():
        running = service()
        await running.infer(part(filename="DOE^JOHN.png") + END, content_type=FORM)
        assert b"DOE" not in running.requests[0].body

    drive(scenario)


def test_a_media_type_may_have_parameters(service, drive):
    async def scenario():
        answer = await service().infer(content_type="application/DICOM; transfer-syntax=*")
        assert answer.status == 200

    drive(scenario)


def test_a_compressed_body_is_refused_as_such(service, drive):
    async def scenario():
        answer = await service().infer(headers={"content-encoding": "gzip"})
        assert (answer.status, answer.json["code"]) == (415, "media_unsupported")

    drive(scenario)


def test_a_body_without_a_media_type_is_refused(service, drive):
    async def scenario():
        answer = await service().ask("POST", "/infer", headers=TOKEN, body=PNG)
        assert (answer.status, answer.json["code"]) == (415, "media_unsupported")

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-011")
def test_a_body_that_declares_too_much_is_refused_before_a_byte_is_read(service, drive):
    async def scenario():
        running = service(max_body_bytes=100, linger_ms=0)
        headers = {**TOKEN, "content-type": "image/png", "content-length": "101"}
        exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x", None])
        assert await read_before_answering(exchange) == 0
        assert exchange.answer().status == 413

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-011")
def test_a_body_that_grows_beyond_the_limit_is_refused_there(service, drive):
    async def scenario():
        running = service(max_body_bytes=100, linger_ms=0)
        exchange = running.exchange(
            "POST",
            "/infer",
            headers={**TOKEN, "content-type": "image/png", "transfer-encoding": "chunked"},
            chunks=[b"x" * 60, b"x" * 60, b"x" * 60, None],
        )
        assert await read_before_answering(exchange) == 2
        assert exchange.answer().status == 413

    drive(scenario)


def test_a_refusal_with_much_unread_ends_the_connection(service, drive):
    async def scenario():
        running = service(max_body_bytes=100, linger_ms=0)
        answer = await running.infer(b"x" * 101)
        assert answer.headers["connection"] == "close"

    drive(scenario)


def test_a_refusal_drains_what_was_sent_so_that_its_caller_can_read_it(service, drive):
    async def scenario():
        running = service(max_body_bytes=100)
        headers = {"content-type": "image/png", "transfer-encoding": "chunked"}
        exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x" * 10] * 5)
        await exchange.run()
        assert (exchange.answer().status, exchange.read_chunks) == (401, 5)

    drive(scenario)


def test_a_client_that_leaves_with_its_refusal_in_hand_was_answered(service, drive):
    async def scenario():
        running = service()
        headers = {"content-type": "image/png", "transfer-encoding": "chunked"}
        exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x", None])
        exchange.on_send = lambda message: exchange.leave() if message["type"] == "http.response.body" else None
        await exchange.run()
        assert [record.code for record in running.ledger.records] == ["unauthenticated"]

    drive(scenario)


def test_a_refused_client_that_held_its_body_back_is_not_asked_for_it(service, drive):
    async def scenario():
        running = service()
        headers = {"content-type": "image/png", "content-length": "9", "expect": "100-continue"}
        exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x" * 9])
        await exchange.run()
        assert (exchange.answer().headers["connection"], exchange.read_chunks) == ("close", 0)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-011")
def test_a_body_that_does_not_arrive_in_time_is_refused(service, drive):
    async def scenario():
        running = service(body_timeout_ms=1, linger_ms=0)
        headers = {**TOKEN, "content-type": "image/png", "content-length": "10"}
        exchange = running.exchange("POST", "/infer", headers=headers, chunks=[b"x", None])
        await exchange.run()
        answer = exchange.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-011")
def test_all_bodies_together_are_bounded(service, drive):
    async def scenario():
        running = service(max_bodies_bytes=100)
        running.infer_gate = asyncio.Event()
        held = asyncio.create_task(running.infer(b"x" * 80))
        while not running.requests:
            await asyncio.sleep(0)
        refused = await running.infer(b"x" * 80)
        assert (refused.status, refused.json["code"]) == (503, "overloaded")
        running.infer_gate.set()
        await held
        assert (await running.infer(b"x" * 80)).status == 200

    drive(scenario)


async def _held(running, count, size):
    """So many bodies of one caller in memory."""
    running.infer_gate = asyncio.Event()
    held = [asyncio.create_task(running.infer(b"x" * size)) for _ in range(count)]
    while len(running.requests) < count:
        await asyncio.sleep(0)
    return held


@pytest.mark.verifies("REQ-SEC-011")
def test_bodies_of_one_caller_take_no_more_memory_than_its_share(service, drive):
    async def scenario():
        running = service(max_body_bytes=20_000, max_bodies_bytes=100_000, caller_share_percent=40)
        held = await _held(running, 2, 15_000)
        refused = await running.infer(b"x" * 15_000)
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        running.infer_gate.set()
        await asyncio.gather(*held)
        assert (await running.infer(b"x" * 15_000)).status == 200

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-011")
def test_bodies_of_one_caller_leave_memory_for_another(service, drive):
    async def scenario():
        running = service(max_body_bytes=20_000, max_bodies_bytes=60_000, caller_share_percent=50)
        await _held(running, 2, 15_000)
        assert (await running.infer(b"x" * 15_000)).status == 429
        other = asyncio.create_task(running.infer(b"x" * 15_000, token=OTHER_TOKEN))
        while len(running.requests) < 3:
            await asyncio.sleep(0)
        running.infer_gate.set()
        assert (await other).status == 200

    drive(scenario)


def test_one_body_of_the_largest_size_is_within_every_share(service, drive):
    async def scenario():
        running = service(max_body_bytes=1_000, max_bodies_bytes=1_000, caller_share_percent=1)
        assert (await running.infer(b"x" * 1_000)).status == 200

    drive(scenario)


@pytest.mark.parametrize("headers", [{"content-type": "image/png"}, {**TOKEN, "content-type": "text/plain"}])
def test_the_body_of_a_caller_that_is_refused_is_not_read(service, drive, headers):
    async def scenario():
        running = service()
        exchange = running.exchange("POST", "/infer", headers={**headers, "content-length": "9"}, chunks=[b"x" * 9])
        assert await read_before_answering(exchange) == 0

    drive(scenario)


@pytest.mark.verifies("REQ-INF-031")
@pytest.mark.parametrize(
    "query",
    [
        "frmae=1",
        "frame=",
        "frame=0",
        "frame=-1",
        "frame=1.0",
        "frame=1&frame=2",
        "frame=%C2%B2",
        "frame=99999999999",
        "model=",
        "model=" + "x" * 130,
        "model=%ff",
        "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9",
    ],
)
def test_a_parameter_that_means_nothing_is_refused(service, drive, query):
    async def scenario():
        answer = await service().infer(target=f"/infer?{query}")
        assert (answer.status, answer.json["code"]) == (422, "request_invalid")

    drive(scenario)


@pytest.mark.verifies("REQ-INF-031")
def test_model_and_frame_reach_the_flow(service, drive):
    async def scenario():
        running = service()
        await running.infer(target="/infer?model=phantom%401.0.0&frame=3")
        assert (running.requests[0].model, running.requests[0].frame) == ("phantom@1.0.0", 3)

    drive(scenario)
