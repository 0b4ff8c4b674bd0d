"""The documentation is served by us alone, and says what the service does."""

import re
import tomllib
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from service import http
from service.http import document, problems

STATIC = Path(http.__file__).parent / "static"


@pytest.fixture(scope="module")
def described():
    return msgspec.json.decode(document.encoded())


@pytest.mark.verifies("REQ-SEC-021")
def test_the_page_loads_nothing_from_elsewhere(service, drive):
    async def scenario():
        page = (await service().ask("GET", "/docs")).body.decode()
        assert re.findall(r'(?:src|href)="(?!/)', page) == []

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-021")
def test_the_page_has_no_script_or_style_within_it(service, drive):
    async def scenario():
        page = (await service().ask("GET", "/docs")).body.decode()
        assert re.findall(r"<style|style=|<script(?! src=)|\son\w+=", page) == []

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-021")
def test_the_page_may_run_our_scripts_alone(service, drive):
    async def scenario():
        policy = (await service().ask("GET", "/docs")).headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy

    drive(scenario)


def test_every_file_that_the_page_names_is_served(service, drive):
    async def scenario():
        running = service()
        page = (await running.ask("GET", "/docs")).body.decode()
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            assert (await running.ask("GET", path)).status == 200

    drive(scenario)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/favicon-32x32.png", "image/png"),
        ("/openapi.json", "application/json"),
    ],
)
def test_each_file_says_once_what_it_is(service, drive, path, media_type):
    async def scenario():
        assert (await service().ask("GET", path)).headers["content-type"] == media_type

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-021")
@pytest.mark.parametrize("path", ["/docs/../recorder.py", "/docs/%2e%2e", "/docs/VENDORED.toml", "/docs/a/b"])
def test_no_other_file_is_served(service, drive, path):
    async def scenario():
        assert (await service().ask("GET", path)).status == 404

    drive(scenario)


def test_every_vendored_file_is_listed_with_its_digest():
    packages = tomllib.loads((STATIC / "VENDORED.toml").read_text("utf-8"))["package"]
    for package in packages:
        folder = STATIC / package["folder"]
        found = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        assert found == package["sha256"]


def test_every_operation_lists_every_problem_that_the_table_has_for_it(described):
    listed = set(described["paths"]["/infer"]["post"]["responses"])
    statuses = {str(status) for status, _ in problems.TABLE.values()} - {"404", "405"}
    assert statuses == listed - {"200"}


def test_every_route_of_the_interface_is_described(service, drive, described):
    async def scenario():
        routes = {route.path for route in service().application.asgi.app.routes}
        documentation = {path for path in routes if path.startswith(("/docs", "/openapi"))}
        assert {re.sub(r":\w+}", "}", route) for route in routes - documentation} == set(described["paths"])

    drive(scenario)


def test_an_answer_has_the_members_that_are_described(service, drive, described):
    async def scenario():
        answer = (await service().infer()).json
        schema = described["components"]["schemas"]["Answer"]
        assert set(schema["required"]) <= answer.keys() <= set(schema["properties"])

    drive(scenario)


def secured(described, *, anonymous):
    """The paths that take a token: those that also answer without one, or those that do not."""
    return {
        path
        for path, methods in described["paths"].items()
        for one in methods.values()
        if one["security"] and ({} in one["security"]) is anonymous
    }


def test_only_the_operations_that_ask_for_a_token_say_so(described):
    assert secured(described, anonymous=False) == {"/infer", "/tile/entries/{bundle}", "/console/releases"}


def test_a_token_is_welcome_and_not_asked_for_where_proofs_are_given(described):
    assert secured(described, anonymous=True) == {"/audit/proof/inclusion", "/audit/proof/consistency"}
