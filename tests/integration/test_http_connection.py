"""Connections from strangers: no head is larger or slower than its bound, whatever it is made of."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.http.connection import bounded
from service.http.policy import Policy

LIMIT = 4096
START = b"POST /x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


async def echo(scope, receive, send):
    """Answers with how many bytes the body had."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@asynccontextmanager
async def listening(**policy):
    refused = []
    kind = bounded(Policy(max_head_bytes=LIMIT, **policy), lambda: refused.append(1))
    config = uvicorn.Config(echo, http=kind, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer, refused
    finally:
        writer.close()
        server.close()


async def _flood(writer, piece):
    """Sends until the other side has had enough of it, or has taken far more than any head is."""
    sent = 0
    try:
        while sent < 64 * LIMIT:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
    except ConnectionError:
        pass


@pytest.mark.verifies("REQ-SEC-015")
@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        pytest.param(b"GET /", b"a" * 512, id="request line"),
        pytest.param(START + b"X-A: ", b"a" * 512, id="one header"),
        pytest.param(START, b"X-A: b\r\n" * 64, id="many headers"),
        pytest.param(CHUNKED + b"0\r\nX-A: ", b"a" * 512, id="one trailer"),
        pytest.param(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 64, id="many trailers"),
        pytest.param(CHUNKED + b"1;", b"a" * 512, id="chunk extension"),
    ],
)
def test_what_is_kept_of_a_head_is_bounded(begin, piece):
    async def scenario():
        async with listening() as (reader, writer, refused):
            writer.write(begin)
            await asyncio.wait_for(_flood(writer, piece), 5)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1 << 20), 5)
            assert refused == [1]

    asyncio.run(scenario())


@pytest.mark.verifies("REQ-SEC-015")
def test_a_head_beyond_the_bound_is_refused_also_where_it_comes_at_once():
    async def scenario():
        async with listening() as (reader, writer, refused):
            writer.write(START + b"X-A: " + b"a" * LIMIT + b"\r\nContent-Length: 0\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 400 ")
            assert refused == [1]

    asyncio.run(scenario())


def test_a_body_is_no_part_of_the_head():
    async def scenario():
        async with listening() as (reader, writer, refused):
            size = 64 * LIMIT
            for _ in range(2):
                writer.write(START + b"Content-Length: %d\r\n\r\n" % size + b"a" * size)
                assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200 ")
                assert str(size).encode() in await asyncio.wait_for(reader.readuntil(b"%d\r\n0\r\n\r\n" % size), 5)
            assert refused == []

    asyncio.run(scenario())


@pytest.mark.verifies("REQ-SEC-015")
@pytest.mark.parametrize("begin", [b"", b"GET /", START], ids=["nothing", "a request line", "a header"])
def test_a_head_that_does_not_come_ends_the_connection(begin):
    async def scenario():
        async with listening(head_timeout_ms=100) as (reader, writer, _):
            writer.write(begin)
            assert await asyncio.wait_for(reader.read(), 5) == b""

    asyncio.run(scenario())


def test_a_second_head_that_does_not_come_ends_the_connection_too():
    async def scenario():
        async with listening(head_timeout_ms=100) as (reader, writer, _):
            writer.write(START + b"Content-Length: 0\r\n\r\nGET /")
            assert b"HTTP/1.1 200 " in await asyncio.wait_for(reader.read(), 5)

    asyncio.run(scenario())


@pytest.mark.verifies("REQ-SEC-015")
def test_a_slow_body_is_no_late_head():
    async def scenario():
        async with listening(head_timeout_ms=100) as (reader, writer, _):
            writer.write(START + b"Content-Length: 1\r\n\r\n")
            await asyncio.sleep(0.3)
            writer.write(b"a")
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200 ")

    asyncio.run(scenario())


@asynccontextmanager
async def _crowd(writer, count):
    """So many more connections to the server of `writer`, which say nothing; those that it closed by itself."""
    made = [await asyncio.open_connection(*writer.get_extra_info("peername")) for _ in range(count)]
    try:
        ends = [asyncio.create_task(reader.read(1)) for reader, _ in made]
        await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        yield ends
    finally:
        for end, (_, opened) in zip(ends, made, strict=True):
            end.cancel()
            opened.close()
        await asyncio.gather(*ends, return_exceptions=True)


def test_a_connection_that_there_is_no_room_for_is_closed_unread_and_counted():
    async def scenario():
        shared = listening(max_connections=9, caller_share_percent=50)
        async with shared as (_, writer, refused), _crowd(writer, 12) as ends:
            await asyncio.wait_for(_all_but(ends, 3), 5)
            assert len(refused) == 9

    asyncio.run(scenario())


async def _all_but(ends, count):
    """Until all but so many have ended."""
    while sum(not end.done() for end in ends) > count:
        await asyncio.sleep(0.01)


def test_a_full_house_of_one_address_does_not_keep_another_out():
    async def scenario():
        shared = listening(max_connections=9, caller_share_percent=50)
        async with shared as (_, writer, _refused), _crowd(writer, 12):
            target = writer.get_extra_info("peername")
            reader, other = await asyncio.open_connection(*target, local_addr=("127.0.0.2", 0))
            other.write(START + b"Content-Length: 3\r\n\r\nabc")
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).endswith(b" 200 OK\r\n")
            other.close()

    asyncio.run(scenario())
