"""The real service under a release: on record, in every record, in /version, and its page in a real browser."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sbom import collect, dsse, releasing, statement
from tests import release_page
from tests.system.running import HOST, Server, serving

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The settings of a service that runs under a release of this checkout, and the release's digest."""
    folder = tmp_path_factory.mktemp("release")
    (folder / "evidence").mkdir()
    (folder / "medai.whl").write_bytes(b"a wheel")
    sources = releasing.Sources(
        project=ROOT, site=collect.site_of(Path(sys.executable)), evidence=folder / "evidence",
        wheels=(folder / "medai.whl",), images=(), builder="urn:medai-flow:builder:test", invocation={},
        work_tree="may differ",
    )  # fmt: skip
    payload = statement.encode(releasing.collect(sources))
    key, digest = Ed25519PrivateKey.from_private_bytes(b"k" * 32), statement.digest(payload)
    (folder / "release.dsse.json").write_bytes(dsse.sign(payload, dsse.IN_TOTO, [key]))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "builders.pem").write_bytes(public)
    (folder / "release.html").write_text(release_page.text(digest=digest), "utf-8")
    settings = {
        "MEDAI_RELEASE_FILE": str(folder / "release.dsse.json"),
        "MEDAI_RELEASE_KEYS_FILE": str(folder / "builders.pem"),
        "MEDAI_RELEASE_PAGE_FILE": str(folder / "release.html"),
    }
    return settings, digest


@pytest.fixture(scope="module")
def running(released, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("released") / "home", workers=1, settings=released[0]) as server:
        yield server


def record(server, index):
    return json.JSONDecoder().raw_decode(server.medai("audit", "record", str(index)).stdout)[0]


def token(server, scope):
    return (server.home / "tokens" / scope).read_text("utf-8").strip()


def test_the_start_of_each_process_is_followed_by_the_release_that_it_runs_under(running, released):
    started, activated = record(running, 1), record(running, 2)
    assert (started["kind"], started["release"]) == ("service_started", released[1])
    assert (activated["kind"], activated["release"]) == ("release_activated", released[1])
    assert activated["process_id"] == started["process_id"]


def test_version_names_the_release(running, released):
    with running.client(None) as client:
        assert client.get("/version").json()["release"] == released[1]


def test_from_the_record_of_an_answer_the_thread_leads_to_what_the_release_binds(running, released, ct_slice):
    with running.client() as client:
        made = record(running, client.infer(ct_slice, "application/dicom").index)
    assert made["release"] == released[1]
    shown = running.medai("release", "show", made["release"], "--releases", released[0]["MEDAI_RELEASE_FILE"],
                          "--trusted", released[0]["MEDAI_RELEASE_KEYS_FILE"])  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    for bound in ("medai.whl", "requirements.lock", "pkg:pypi/numpy@", "urn:medai-flow:package:service", "ct-lesion"):
        assert bound in shown.stdout


def test_in_production_this_environment_with_its_test_tools_does_not_start(released, tmp_path):
    server = Server(tmp_path / "home", workers=1, settings=released[0] | {"MEDAI_ENVIRONMENT": "production"})
    try:
        done = server.medai("serve", *server.arguments())
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert "is installed and not of the release" in done.stderr
    finally:
        server.clean()


def test_a_release_by_a_key_that_is_not_trusted_stops_the_start(released, tmp_path):
    stranger = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "other.pem").write_bytes(stranger.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = released[0] | {"MEDAI_RELEASE_KEYS_FILE": str(tmp_path / "other.pem")}
    server = Server(tmp_path / "home", workers=1, settings=settings)
    try:
        done = server.medai("serve", *server.arguments())
        assert done.returncode == 2
        assert "no trusted key has signed it" in done.stderr
    finally:
        server.clean()


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name)) is not None), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is on the path (CI installs one, as root)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)], ids=str)
def opened(request, browser, running):
    """The page as served, in a theme and a width, and everything that went wrong while it was drawn."""
    scheme, width = request.param
    authorised = {"Authorization": f"Bearer {token(running, 'release.read')}"}
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, extra_http_headers=authorised
    )
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    address = f"http://{HOST}:{running.port}/console/releases"
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url != address else None)
    page.goto(address)
    yield page, wrong
    context.close()


def test_a_browser_draws_the_page_and_fetches_and_complains_about_nothing(opened):
    page, wrong = opened
    assert page.locator(".verdict strong").inner_text() == "Do not release"
    # The browser asks for an icon of its own accord.
    assert [each for each in wrong if "favicon" not in each and "404" not in each] == []


def test_the_page_is_not_wider_than_the_window(opened):
    page, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_styles_and_script_are_admitted_by_their_digests(opened):
    page, _ = opened
    assert page.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftStyle") == "solid"
    page.locator("#wanted").fill("gpl")
    assert page.locator("#components tbody tr:visible").count() == 1


def test_every_bar_can_be_told_from_its_ground(opened):
    page, _ = opened
    fills = page.evaluate("[...document.querySelectorAll('.row svg')].map((svg) =>"
                          " [...svg.querySelectorAll('rect')].map((rect) => getComputedStyle(rect).fill))")  # fmt: skip
    assert fills != []
    assert [bar for bar in fills if bar[0] == bar[1]] == []


def test_in_print_what_is_folded_is_open(opened):
    page, _ = opened
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")


def test_the_view_of_the_page_is_on_record_by_name(running):
    with running.client(None) as client:
        client.token = token(running, "release.read")
        made = record(running, client.get("/console/releases").index)
    assert (made["kind"], made["route"], made["status"]) == ("request", "/console/releases", 200)
    assert made["actor"] != ""
