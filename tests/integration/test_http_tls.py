"""TLS on the public port: who is answered behind a handshake, and who holds a place before it is over."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from service.adapters.certificate import Certificate
from service.http.connection import bounded
from service.http.handshake import secured
from service.http.policy import Policy
from tests.authorities import Authority

pytestmark = pytest.mark.verifies("REQ-SEC-048")

HOST = "localhost"
REQUEST = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    return authority.write(tmp_path / "tls", HOST)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a scenario on each of the two loops; the service's own is uvloop's."""

    def runs(scenario):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(scenario(), 60))

    return runs


async def tell(scope, receive, send):
    """Answers with the scheme that the request came by."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


class Port:
    """What the tests ask of a listening port."""

    def __init__(self, number, refused, turned_away):
        self.number, self.refused, self.turned_away = number, refused, turned_away


@asynccontextmanager
async def listening(files, **policy):
    refused, turned_away = [], []
    shown = Certificate(*files)
    kind = secured(bounded(Policy(**policy), lambda: refused.append(1), lambda: turned_away.append(1)), shown.context)
    config = uvicorn.Config(tell, http=kind, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    port = Port(server.sockets[0].getsockname()[1], refused, turned_away)
    try:
        yield port
    finally:
        server.close()


def _client(authority, **settings):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    for name, value in settings.items():
        setattr(context, name, value)
    return context


async def _ask(port, context):
    """The answer, and the serial number of the certificate that was shown."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number, ssl=context, server_hostname=HOST)
    try:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(5)
        return head, body, writer.get_extra_info("peercert")["serialNumber"], writer.get_extra_info("cipher")[1]
    finally:
        writer.close()


def test_a_request_over_tls_is_answered_and_known_as_one(files, authority, run):
    async def scenario():
        async with listening(files) as port:
            assert (await _ask(port, _client(authority)))[1] == b"https"

    run(scenario)


def test_many_clients_that_speak_at_once_are_all_answered(files, authority, run):
    async def scenario():
        async with listening(files) as port:
            context = _client(authority)
            answers = await asyncio.gather(*(_ask(port, context) for _ in range(60)))
            assert {answer[1] for answer in answers} == {b"https"}

    run(scenario)


def test_tls_1_2_is_spoken(files, authority, run):
    async def scenario():
        async with listening(files) as port:
            context = _client(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
            assert (await _ask(port, context))[3] == "TLSv1.2"

    run(scenario)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_is_refused(files, authority, run):
    async def scenario():
        async with listening(files) as port:
            context = _client(authority, minimum_version=ssl.TLSVersion.TLSv1_1)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await _ask(port, context)
            assert port.refused == [1]

    run(scenario)


def test_plain_http_gets_no_answer_of_http(files, run):
    async def scenario():
        async with listening(files) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(REQUEST)
            assert b"HTTP" not in await reader.read()
            writer.close()
            assert port.refused == [1]

    run(scenario)


def test_who_never_ends_a_handshake_holds_a_place_like_anybody(files, run):
    async def scenario():
        # Of eight places one address has half.
        async with listening(files, max_connections=8, connections_per_s=100, caller_share_percent=50) as port:
            silent = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(12)]
            while len(port.turned_away) < 8:
                await asyncio.sleep(0.01)
            assert len(port.turned_away) == 8
            for _, writer in silent:
                writer.close()

    run(scenario)


def test_a_silent_handshake_ends_after_the_time_of_a_head_and_gives_its_place_back(files, authority, run):
    async def scenario():
        async with listening(files, max_connections=8, head_timeout_ms=200) as port:
            silent = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(4)]
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
            assert (await _ask(port, _client(authority)))[1] == b"https"

    run(scenario)
