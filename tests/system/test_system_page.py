"""The documentation in a real browser, where there is one: drawn by our own files, without a breach of its policy."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.system

LIMIT_S = 120.0
INSTALL_LIMIT_S = 90.0
"""Twice this and a page are below the limit of one test."""
DRAWN_MS = 20_000
"""Of the page's own time, which passes as fast as it can: how long its scripts may take to draw it."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def drawn(server, tmp_path_factory):
    """The page as the browser has it after its scripts ran, and what was said on its console."""
    browser = _browser()
    if browser is None and os.environ.get("CI") == "true" and os.geteuid() == 0:
        _install()
        browser = _browser()
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is on the path (CI installs one, as root)")
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


def _browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def _install() -> None:
    """Debian's browser, where this is Debian. What goes wrong is shown by the skip that follows."""
    if shutil.which("apt-get") is None:
        return
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["apt-get", *words],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                check=False,
                timeout=INSTALL_LIMIT_S,
            )


def test_the_page_shows_every_path_that_is_described(drawn):
    assert set(re.findall(r'data-path="([^"]+)"', drawn.stdout)) == {"/infer", "/health", "/version"}


def test_the_page_breaks_nothing_of_its_own_policy(drawn):
    console = [line for line in drawn.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in console if "Refused" in line or "Error" in line] == []
