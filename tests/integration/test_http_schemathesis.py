"""The service does what `/openapi.json` says: schemathesis finds nothing."""

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from service.errors import DecodeFailed
from service.http.body import MEDIA_TYPES
from tests.http_fakes import TOKEN, Service

REPOSITORY = Path(__file__).resolve().parents[2]


CONFIG = schemathesis.Config.from_path(str(REPOSITORY / "schemathesis.toml"))


def _application(infer_error):
    service = Service(peer_rate_per_s=10**6, peer_burst=10**6, body_timeout_ms=10_000)
    service.infer_error = infer_error
    return service.application.asgi


for _media_type in MEDIA_TYPES:
    schemathesis.openapi.media_type(_media_type, st.binary(max_size=64))

ANSWERING = schemathesis.openapi.from_asgi("/openapi.json", _application(None), config=CONFIG)
REFUSING = schemathesis.openapi.from_asgi("/openapi.json", _application(DecodeFailed("not an image")), config=CONFIG)
BOUNDED = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@ANSWERING.parametrize()
@BOUNDED
def test_what_is_answered_is_as_described(case):
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})


@REFUSING.parametrize()
@BOUNDED
def test_what_is_refused_is_as_described(case):
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})


@ANSWERING.parametrize()
@BOUNDED
def test_what_is_asked_without_a_token_is_as_described(case):
    case.call_and_validate()
