"""Tokens, scopes and what a caller accepts."""

import pytest

from service.http.auth import admits

TOKEN = "medai_" + "t" * 43


@pytest.mark.verifies("REQ-SEC-001")
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} more",
        "Bearer \u00e9",
        "Bearer " + "x" * 600,
    ],
)
def test_whatever_is_no_valid_token_is_answered_401_with_a_challenge(service, drive, header):
    async def scenario():
        headers = {"content-type": "image/png"} | ({"authorization": header} if header is not None else {})
        answer = await service().ask("POST", "/infer", headers=headers, body=b"x")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="medai"'

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-001")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(service, drive, scheme):
    async def scenario():
        headers = {"content-type": "image/png", "authorization": f"{scheme} {TOKEN}"}
        assert (await service().ask("POST", "/infer", headers=headers, body=b"x")).status == 200

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-002")
def test_a_token_without_the_scope_is_answered_403_with_a_challenge(service, drive):
    async def scenario():
        answer = await service().infer(token="no-scope")
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]

    drive(scenario)


def test_a_token_that_is_revoked_meanwhile_is_refused(service, drive):
    async def scenario():
        running = service()
        assert (await running.infer()).status == 200
        del running.tokens.known[TOKEN]
        assert (await running.infer()).status == 401

    drive(scenario)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", True),
        ("*/*", True),
        ("application/*", True),
        ("text/html, application/json;q=0.5", True),
        ("APPLICATION/JSON", True),
        ("", True),
        ("text/html", False),
        ("application/problem+json", False),
        ("application/json;q=0", False),
        ("application/json; q=0.000, text/html", False),
        ("*/*, application/json;q=0", False),
        ("application/json, */*;q=0", True),
    ],
)
def test_the_most_specific_range_of_an_accept_header_decides(accept, expected):
    assert admits(accept, "application/json") is expected


def test_an_image_is_not_read_for_a_caller_that_cannot_read_the_answer(service, drive):
    async def scenario():
        running = service()
        answer = await running.infer(headers={"accept": "text/html"})
        assert (answer.status, answer.json["code"]) == (406, "not_acceptable")
        assert running.requests == []

    drive(scenario)
