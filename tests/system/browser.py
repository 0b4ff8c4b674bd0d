"""The browser of this machine, for tests that look at a page as a person does."""

import contextlib
import os
import shutil
import subprocess

import pytest

INSTALL_LIMIT_S = 90.0
"""Twice this and a page are below the limit of one test."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def found_or_skipped() -> str:
    """Where it is. In CI as root it is installed first; where there is none the test is skipped aloud."""
    browser = _found()
    if browser is None and os.environ.get("CI") == "true" and os.geteuid() == 0:
        _install()
        browser = _found()
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is on the path (CI installs one, as root)")
    return browser


def _found() -> str | None:
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
