"""The database is away and somebody restarts the service: what was refused is on record all the same."""

import pytest

from audit.postgres import embedded
from audit.record import Outage
from tests.system.running import Server, eventually, serving

pytestmark = pytest.mark.system

LIMIT_S = 60.0
REFUSED = 5


def stop_in_order(server: Server) -> None:
    assert server.stop() == 0


def kill(server: Server) -> None:
    server.kill()


@pytest.fixture(scope="module", params=[stop_in_order, kill], ids=lambda end: end.__name__)
def outages(request, tmp_path_factory, ct_slice, entries_of) -> list[Outage]:
    """The outage records of a service that was ended while its database was away, and started again."""
    with serving(tmp_path_factory.mktemp("restart") / "home", workers=1) as server:
        embedded.stop(server.home)
        assert eventually(lambda: server.internal("/readyz").status == 503, LIMIT_S)
        with server.client() as client:
            assert [client.infer(ct_slice).status for _ in range(REFUSED)] == [503] * REFUSED
        assert eventually(lambda: any(server.home.glob("outages/*.json")), LIMIT_S)
        assert eventually(lambda: f'"refused":{REFUSED}' in _noted(server), LIMIT_S)
        request.param(server)
        server.start()
        return [entry.record for entry in entries_of(server) if isinstance(entry.record, Outage)]


def _noted(server: Server) -> str:
    return "".join(note.read_text("utf-8") for note in server.home.glob("outages/*.json"))


def test_the_outage_is_on_record_once_with_every_refusal(outages):
    assert [outage.refused for outage in outages] == [REFUSED]


def test_the_outage_ends_after_it_began(outages):
    assert outages[0].from_us < outages[0].to_us
