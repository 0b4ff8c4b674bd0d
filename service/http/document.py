"""The OpenAPI 3.1 description of the public interface, written out: exact, and held to the routes by tests.

Schemas come from the structs that are encoded, and statuses from the table of problems, so that neither can
say something else than the service does.
"""

from functools import cache, partial
from typing import Any, Final

import msgspec

from service.http import body, document_log, log_proofs, problems, proofs, routes
from service.http.releases import HTML
from service.http.version import Version

Json = dict[str, Any]

_EVERYWHERE: Final = (400, 406, 429, 500, 503)
_INFER: Final = (400, 401, 403, 406, 408, 413, 415, 422, 429, 500, 503)
_WHY: Final = {
    400: "The request is not well-formed, or its body ended early.",
    401: "No bearer token, or none that is valid now.",
    403: "The token lacks the scope.",
    404: "There is nothing at this path, or nothing yet: no such tile, or no signed checkpoint that covers it.",
    406: "`Accept` admits nothing that this path answers with.",
    408: "The body did not arrive in time.",
    413: "The body, or the image that it declares, is larger than the limit.",
    415: "A media type or DICOM transfer syntax that is not read here.",
    422: "A parameter, a part, the frame, the model or the image itself cannot be used.",
    429: "This caller asks too often, or for too much at once.",
    500: "The service failed; nothing was found.",
    503: "The queue is full, the service is stopping, the log cannot be read, or the answer could not be recorded and "
    "is withheld.",
}

_HEADERS: Final[dict[str, Json]] = {
    "X-Correlation-ID": {
        "description": "The caller's, where it is a UUID, a ULID or 32 hexadecimal digits; else made (UUIDv7).",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z-]{26,36}$"},
    },
    "traceparent": {
        "description": "W3C Trace Context: the caller's where it is well-formed, else made.",
        "required": True,
        "schema": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    },
    "Ledger-Index": {
        "description": "The index of the record that covers this answer. Absent only from 503 `ledger_unavailable`.",
        "required": False,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}},
}

_REQUEST_HEADERS: Final[list[Json]] = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": "Taken when well-formed, else replaced.",
        "schema": {"type": "string"},
    }
    for name in ("X-Correlation-ID", "traceparent")
]


@cache
def encoded() -> bytes:
    """The document's bytes."""
    return msgspec.json.encode(describe(), order="sorted")


def describe() -> Json:
    """The document."""
    served = (proofs.Answer, problems.Document, Version, routes.Health)
    shown = (*served, log_proofs.InclusionProof, log_proofs.ConsistencyProof)
    (answer, problem, version, health, inclusion, consistency), schemas = msgspec.json.schema_components(
        shown, ref_template="#/components/schemas/{name}"
    )
    schemas["Answer"]["required"].append("ledger")
    schemas["Answer"]["properties"]["ledger"] = {"$ref": "#/components/schemas/LedgerProof"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MedAI Flow",
            "version": "1",
            "description": "Inference for medical images. Every answer carries the proof that it was recorded.",
        },
        "paths": {
            "/infer": {"post": _infer(answer, problem)},
            "/health": {"get": _plain("health", "Whether a finding could be given now.", health, problem)},
            "/version": {"get": _plain("version", "What runs here, and whose signatures to expect.", version, problem)},
            "/console/releases": {"get": _releases(problem)},
            **document_log.paths(partial(_responses, problem), inclusion, consistency, _REQUEST_HEADERS),
        },
        "components": {
            "schemas": schemas,
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An opaque token: `medai token issue`."}
            },
        },
    }


def _infer(answer: Json, problem: Json) -> Json:
    binary: Json = {"schema": {"type": "string", "format": "binary"}}
    form: Json = {
        "schema": {
            "type": "object",
            "properties": {body.PART: {"type": "string", "format": "binary"}},
            "required": [body.PART],
            "additionalProperties": False,
        },
        "encoding": {body.PART: {"contentType": ", ".join(body.MEDIA_TYPES)}},
    }
    return {
        "operationId": "infer",
        "summary": "One image in, one proved finding out.",
        "description": "Needs the scope `infer`. The answer is released only after its record is durable.",
        "security": [{"token": []}],
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "required": False,
                "description": "`NAME` or `NAME@VERSION`; needed where several models are loaded.",
                "schema": {"type": "string", "minLength": 1, "maxLength": routes.MAX_MODEL_CHARACTERS},
            },
            {
                "name": "frame",
                "in": "query",
                "required": False,
                "description": "Which frame of a multi-frame file, counting from 1.",
                "schema": {"type": "integer", "minimum": 1, "maximum": routes.MAX_FRAME},
            },
            *_REQUEST_HEADERS,
        ],
        "requestBody": {"required": True, "content": dict.fromkeys(body.MEDIA_TYPES, binary) | {body.FORM: form}},
        "responses": _responses(problem, "The finding, with the proof of its record.", _json(answer), _INFER),
    }


def _plain(name: str, summary: str, schema: Json, problem: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": _REQUEST_HEADERS,
        "responses": _responses(problem, summary, _json(schema), _EVERYWHERE),
    }


def _releases(problem: Json) -> Json:
    return {
        "operationId": "releases",
        "summary": "The page of the release that is active.",
        "description": "Needs the scope `release.read`. 404 until a release brought its page.",
        "security": [{"token": []}],
        "parameters": _REQUEST_HEADERS,
        "responses": _responses(
            problem, "The page.", {HTML: {"schema": {"type": "string"}}}, (400, 401, 403, 404, 406, 429, 500, 503)
        ),
    }


def _json(schema: Json) -> Json:
    return {routes.JSON: {"schema": schema}}


def _responses(problem: Json, description: str, content: Json, refusals: tuple[int, ...]) -> Json:
    """What an operation answers with when all is well, and each status that it refuses with."""
    responses: Json = {
        "200": {
            "description": description,
            "headers": _refer("X-Correlation-ID", "traceparent", "Ledger-Index"),
            "content": content,
        }
    }
    for status in refusals:
        names = ["X-Correlation-ID", "traceparent", "Ledger-Index"]
        names += ["Retry-After"] if status in (429, 503) else []
        names += ["WWW-Authenticate"] if status in (401, 403) else []
        codes = ", ".join(f"`{code}`" for code, (of, _) in problems.TABLE.items() if of == status)
        responses[str(status)] = {
            "description": f"{_WHY[status]} Codes: {codes}.",
            "headers": _refer(*names),
            "content": {problems.MEDIA_TYPE: {"schema": problem}},
        }
    return responses


def _refer(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
