"""The public application: Litestar's routes inside the recorder."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from audit.ports import Clock, Reader
from audit.ports import Recorder as Ledger
from service.http import auth, documentation, log_routes, problems
from service.http.admission import Admission, Rates
from service.http.body import Bodies
from service.http.case import case_of
from service.http.log import PublicLog
from service.http.peers import Peers
from service.http.policy import Policy
from service.http.ports import Pseudonyms, Telemetry, TokenBook, Tracing
from service.http.recorder import Recorder
from service.http.releases import releases_route
from service.http.routes import Infer, Inference, health_route, infer_route, version_route
from service.http.templates import Templates
from service.http.windows import Windows


class Parts(Struct, frozen=True, kw_only=True):
    """What the public application is made of; tests give fakes."""

    ledger: Ledger
    log: Reader
    """The log is served from it; nothing else is read through it."""
    infer: Infer
    tokens: TokenBook
    pseudonyms: Pseudonyms
    telemetry: Telemetry
    clock: Clock
    policy: Policy
    process_id: UUID
    version: Callable[[], bytes]
    """The body of `/version` as it is now."""
    unready: Callable[[], str | None]
    """Why no finding could be given now, or None."""
    release: str | None = None
    """The digest of the release that is active: every record names it."""
    release_page: bytes | None = None
    """Its page."""
    tracing: Tracing | None = None


class Application(Struct, frozen=True, kw_only=True):
    """The ASGI application, and the two things that its process must look after."""

    asgi: Recorder
    windows: Windows
    admission: Admission


def create(parts: Parts) -> Application:
    """The public application. Nothing is started: whoever serves it closes its windows."""
    policy = parts.policy
    peers = Peers(
        parts.pseudonyms,
        policy.trusted_proxies,
        header=policy.forwarded_header,
        ipv6_bits=policy.peer_ipv6_bits,
    )
    windows = Windows(
        ledger=parts.ledger,
        clock=parts.clock,
        process_id=parts.process_id,
        others=peers.others(),
        telemetry=parts.telemetry,
        policy=parts.policy,
        release=parts.release,
    )
    admission = Admission(parts.policy, parts.telemetry)
    routes = _routes(parts, admission)
    recorder = Recorder(
        _litestar(parts, routes),
        ledger=parts.ledger,
        windows=windows,
        clock=parts.clock,
        peers=peers,
        telemetry=parts.telemetry,
        templates=Templates(path for route in routes for path in route.paths),
        policy=parts.policy,
        release=parts.release,
        tracing=parts.tracing,
    )
    return Application(asgi=recorder, windows=windows, admission=admission)


def _routes(parts: Parts, admission: Admission) -> list[HTTPRouteHandler]:
    inference = Inference(
        infer=parts.infer,
        admission=admission,
        bodies=Bodies(parts.policy),
        clock=parts.clock,
        pseudonyms=parts.pseudonyms,
        telemetry=parts.telemetry,
    )
    return [
        infer_route(inference),
        health_route(parts.unready),
        version_route(parts.version),
        *log_routes.routes(PublicLog(parts.log, parts.policy), _callers(parts.policy)),
        *documentation.pages(),
        releases_route(parts.release_page, _callers(parts.policy)),
    ]


def _callers(policy: Policy) -> Rates:
    return Rates(per_s=policy.caller_rate_per_s, burst=policy.caller_burst, max_callers=policy.max_peers)


def _litestar(parts: Parts, routes: list[HTTPRouteHandler]) -> Litestar:
    policy = parts.policy

    def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[None]:
        """Leave the problem to the recorder: it alone answers, behind the record."""
        case = case_of(request.scope)
        problem = problems.problem_of(error, policy.retry_after_s)
        if problem.status >= 500 and problem.code not in ("overloaded", "draining", "ledger_unavailable"):
            parts.telemetry.failed("handler", error, correlation_id=case.correlation_id)
        case.problem = problem
        return Response(None, status_code=problem.status)

    rates = Rates(per_s=policy.peer_rate_per_s, burst=policy.peer_burst, max_callers=policy.max_peers)
    return Litestar(
        route_handlers=routes,
        guards=[auth.guard(parts.tokens, rates)],
        exception_handlers={Exception: refuse},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the body is read by `service.http.body` alone, with its own bounds
    )
