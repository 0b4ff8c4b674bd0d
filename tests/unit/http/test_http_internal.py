"""The internal port: alive is the event loop alone, ready is everything."""

import asyncio

import pytest

from service.http.internal import Internal


@pytest.fixture
def ask():
    def ask(path, *, method="GET", unready=None):
        sent = []

        async def send(message):
            sent.append(message)

        internal = Internal(unready=lambda: unready, metrics=lambda: b"medai 1\n", metrics_type="text/plain")
        asyncio.run(internal({"type": "http", "method": method, "path": path}, None, send))
        return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])

    return ask


@pytest.mark.verifies("REQ-DEP-003")
def test_the_process_is_alive_though_it_is_not_ready(ask):
    assert ask("/livez", unready="the database is away")[0] == 200


@pytest.mark.verifies("REQ-DEP-003")
def test_the_process_is_ready_when_nothing_is_in_the_way(ask):
    assert ask("/readyz")[:2] == (200, b"ok\n")


@pytest.mark.verifies("REQ-DEP-003")
def test_a_process_that_is_not_ready_says_why(ask):
    assert ask("/readyz", unready="draining")[:2] == (503, b"draining\n")


def test_metrics_are_served_as_they_are(ask):
    assert ask("/metrics")[:2] == (200, b"medai 1\n")


def test_nothing_else_is_served_here(ask):
    assert ask("/infer")[0] == 404


def test_another_method_is_refused_with_those_that_are_taken(ask):
    status, _, headers = ask("/livez", method="POST")
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")


def test_a_head_request_here_has_no_body(ask):
    assert ask("/livez", method="HEAD")[:2] == (200, b"")
