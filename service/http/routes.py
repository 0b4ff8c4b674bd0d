"""The public routes that answer for the service itself: `/infer`, `/health`, `/version`."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope
from msgspec import Struct

from audit.ports import Clock
from service.domain.messages import InferenceRequest, Prediction
from service.errors import Draining, MediaUnsupported, RequestInvalid
from service.http import proofs
from service.http.admission import Admission
from service.http.body import Bodies
from service.http.case import Case, case_of
from service.http.ports import Pseudonyms, Telemetry
from traceability.marks import implements

JSON: Final = "application/json"
MAX_FRAME: Final = 2**31 - 1  # DICOM Number of Frames (0028,0008) is an integer string: PS3.5 section 6.2, IS
MAX_MODEL_CHARACTERS: Final = 129  # NAME@VERSION, 64 characters each

Infer = Callable[[InferenceRequest], Awaitable[Prediction]]


class Inference(Struct, frozen=True, kw_only=True):
    """What `/infer` is made of; `infer` is `service.domain.flow.infer` with its ports filled in."""

    infer: Infer
    admission: Admission
    bodies: Bodies
    clock: Clock
    pseudonyms: Pseudonyms
    telemetry: Telemetry


@implements("REQ-INF-001")
def infer_route(inference: Inference) -> HTTPRouteHandler:
    """`POST /infer`: one image in, one proved finding out."""

    @post("/infer", status_code=200, opt={"produces": JSON, "scope": "infer"}, media_type=JSON)
    async def infer(scope: Scope) -> Response[bytes]:
        case = case_of(scope)
        with inference.admission.enter(case.caller) as place:
            model, frame = _parameters(scope["query_string"])
            if (_header(scope, b"content-encoding") or b"identity").lower() != b"identity":
                raise MediaUnsupported("send the image as it is, without a content encoding")
            body = await inference.bodies.read(case, _header(scope, b"content-type"))
            try:
                async with place.running():
                    request = InferenceRequest(body=body.content, media_type=body.media_type, model=model, frame=frame)
                    prediction = await _infer(inference, case, request)
            finally:
                body.release()
            # Whoever waits for a commit is not at work: the next one decodes and infers meanwhile.
            answer = await _answer(inference, case, prediction)
        return Response(answer, media_type=JSON)

    return infer


class Health(Struct, frozen=True, kw_only=True):
    """All is well; anything else is a 503 problem."""

    status: Literal["ok"] = "ok"


def health_route(unready: Callable[[], str | None]) -> HTTPRouteHandler:
    """`GET /health`: whether a finding could be given now. Recorded singly, like every answer that says something."""

    @get("/health", opt={"produces": JSON}, media_type=JSON, sync_to_thread=False)
    def health() -> Response[bytes]:
        if unready() is not None:  # the reason is for operators: /readyz tells it
            raise Draining("no finding could be given now", retry_after_s=1)
        return Response(msgspec.json.encode(Health()), media_type=JSON)

    return health


def version_route(version: Callable[[], bytes]) -> HTTPRouteHandler:
    """`GET /version`: what runs here, and the log's key, which may be rotated while it runs."""

    @get("/version", opt={"produces": JSON}, media_type=JSON, sync_to_thread=False)
    def describe() -> Response[bytes]:
        return Response(version(), media_type=JSON)

    return describe


async def _infer(inference: Inference, case: Case, request: InferenceRequest) -> Prediction:
    case.about_to_append()
    started = perf_counter()
    prediction = await inference.infer(request)
    inference.telemetry.inferred(prediction.model.name, prediction.finding.decision, perf_counter() - started)
    return prediction


@implements("REQ-LED-013")
async def _answer(inference: Inference, case: Case, prediction: Prediction) -> bytes:
    """Encode, commit, prove: in this order, so that what is recorded is what is sent."""
    now_us = inference.clock.now_us()
    answer = proofs.answer_of(prediction, case, latency_ms=max(0, (now_us - case.received_us) // 1000))
    record = proofs.record_of(
        answer,
        prediction,
        case,
        answer_sha256=proofs.digest(answer),
        recorded_at_us=now_us,
        pseudonyms=inference.pseudonyms,
    )
    return proofs.proved(answer, await case.commit(record))


@implements("REQ-INF-031")
def _parameters(query: bytes) -> tuple[str | None, int | None]:
    """`model` and `frame`. A parameter that is not known is refused: a misspelt `frame` would be another image."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError as error:
        raise RequestInvalid("the query must be percent-encoded UTF-8 with few parameters") from error
    given = dict(pairs)
    if len(given) != len(pairs) or not given.keys() <= {"model", "frame"}:
        raise RequestInvalid("the query takes model and frame, each at most once")
    model = given.get("model")
    if model is not None and not 1 <= len(model) <= MAX_MODEL_CHARACTERS:
        raise RequestInvalid("model is NAME or NAME@VERSION")
    frame = given.get("frame")
    if frame is None:
        return model, None
    if not (frame.isascii() and frame.isdigit() and len(frame) <= 10 and 1 <= int(frame) <= MAX_FRAME):
        raise RequestInvalid("frame is an integer that counts from 1")
    return model, int(frame)


def _header(scope: Any, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)
