"""The documentation in a real browser, where there is one: drawn by our own files, without a breach of its policy."""

import os
import re
import subprocess

import pytest

from tests.system.browser import found_or_skipped

pytestmark = pytest.mark.system

LIMIT_S = 120.0
DRAWN_MS = 20_000
"""Of the page's own time, which passes as fast as it can: how long its scripts may take to draw it."""


@pytest.fixture(scope="module")
def drawn(server, tmp_path_factory):
    """The page as the browser has it after its scripts ran, and what was said on its console."""
    browser = found_or_skipped()
    options = [
        "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}", f"--virtual-time-budget={DRAWN_MS}", "--dump-dom",
    ]  # fmt: skip
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # the browser's own does not work as root
    done = subprocess.run(
        [browser, *options, f"{server.url}/docs"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_page_shows_every_path_that_is_described(drawn, server):
    with server.client() as caller:
        described = set(caller.get("/openapi.json").json()["paths"])
    assert "/infer" in described
    assert set(re.findall(r'data-path="([^"]+)"', drawn.stdout)) == described


def test_the_page_breaks_nothing_of_its_own_policy(drawn):
    console = [line for line in drawn.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in console if "Refused" in line or "Error" in line] == []
