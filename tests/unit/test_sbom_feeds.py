"""Where advisories come from: too old, too few, too large or changed means not checked, never none found."""

import datetime as dt
import gzip
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sbom import feeds
from sbom.errors import DocumentInvalid, FeedUnusable
from sbom.vulnerabilities import Audited, Feed

ADVISORIES = Path(os.environ.get("MEDAI_TEST_VECTORS", "../shared/vectors")) / "pypa-advisories" / "vulns"
DAY = dt.date(2026, 3, 1)
RECORD = {"id": "PYSEC-1", "modified": "2026-02-28T00:00:00Z", "affected": []}
KEV = {"dateReleased": "2026-02-27T00:00:00Z", "vulnerabilities": [{"cveID": "CVE-2026-1"}]}
EPSS = "#model_version:v1,score_date:2026-02-26T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1,0.5,0.9\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "osv"
    made.mkdir()
    (made / "PYSEC-1.json").write_text(json.dumps(RECORD), "utf-8")
    return made


@pytest.fixture
def opinions(tmp_path):
    kev, epss = tmp_path / "kev.json", tmp_path / "epss.csv"
    kev.write_text(json.dumps(KEV), "utf-8")
    epss.write_text(EPSS, "utf-8")
    return {"kev": kev, "epss": epss}


@pytest.fixture
def bundle(tmp_path, folder, opinions):
    target = tmp_path / "bundle.zip"
    feeds.bundle(target, folder, **opinions, date=DAY)
    return target


def rewritten(source, target, change):
    """The zip `source` with each (name, content) as `change` makes it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def offline(source, **opinions):
    return feeds.offline(source, **({"kev": None, "epss": None} | opinions))


@pytest.mark.verifies("REQ-SBM-004")
def test_each_feed_has_its_own_date(folder, opinions):
    dated = {each.name: each.date.isoformat() for each in offline(folder, **opinions).feeds}
    assert dated == {"osv": "2026-02-28", "kev": "2026-02-27", "epss": "2026-02-26"}


@pytest.mark.verifies("REQ-SBM-004")
def test_a_bundle_carries_all_of_it_under_its_own_date(bundle):
    told = offline(bundle)
    assert told.feeds[0].date == DAY
    assert told.opinions.exploited == {"CVE-2026-1"}
    assert told.opinions.epss_ppm == {"CVE-2026-1": 500_000}


@pytest.mark.verifies("REQ-SBM-004")
def test_the_same_input_gives_the_same_bundle(tmp_path, folder, opinions, bundle):
    feeds.bundle(tmp_path / "again.zip", folder, **opinions, date=DAY)
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


@pytest.mark.verifies("REQ-SBM-004")
@pytest.mark.parametrize("name", ["osv/PYSEC-1.json", "kev.json", "epss.csv"])
def test_a_bundle_with_one_byte_changed_is_refused(tmp_path, bundle, name):
    changed = rewritten(bundle, tmp_path / "c.zip", lambda n, text: text[:-1] + b" " if n == name else text)
    with pytest.raises(FeedUnusable, match=name):
        offline(changed)


@pytest.mark.verifies("REQ-SBM-004")
def test_a_bundle_without_one_of_its_files_is_refused(tmp_path, bundle):
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(tmp_path / "c.zip", "w") as new:
        for name in old.namelist():
            if name != "kev.json":
                new.writestr(name, old.read(name))
    with pytest.raises(FeedUnusable, match=r"kev\.json"):
        offline(tmp_path / "c.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_no_record_at_all_is_a_failure(tmp_path):
    with pytest.raises(FeedUnusable, match="no advisory"):
        offline(tmp_path)


@pytest.mark.verifies("REQ-SBM-004")
def test_a_file_that_is_no_record_is_a_failure(folder):
    (folder / "other.json").write_text("{}", "utf-8")
    with pytest.raises(FeedUnusable, match=r"other\.json"):
        offline(folder)


@pytest.mark.verifies("REQ-SBM-004")
def test_a_file_that_is_no_zip_is_a_failure(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(FeedUnusable):
        offline(tmp_path / "x.zip")


@pytest.mark.parametrize("place", [31, 60])
def test_a_zip_with_a_changed_byte_is_a_failure(tmp_path, place):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(RECORD | {"details": "long " * 40}))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[place] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(FeedUnusable):
        offline(tmp_path / "x.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_an_encrypted_zip_is_a_failure(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(RECORD))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of the central directory (APPNOTE 4.4.4)
    content[6] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(FeedUnusable, match="encrypted"):
        offline(tmp_path / "x.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_scores_that_unpack_to_more_than_the_limit_are_not_unpacked(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_EPSS_BYTES", 1_000)
    (tmp_path / "epss.csv.gz").write_bytes(gzip.compress(b" " * 100_000))
    with pytest.raises(FeedUnusable, match="more than 1000 bytes unpacked"):
        offline(folder, epss=tmp_path / "epss.csv.gz")


def test_scores_that_are_cut_off_are_a_failure(tmp_path, folder):
    (tmp_path / "epss.csv.gz").write_bytes(gzip.compress(EPSS.encode())[:-9])
    with pytest.raises(FeedUnusable, match="gzip"):
        offline(folder, epss=tmp_path / "epss.csv.gz")


def test_scores_are_bundled_unpacked(tmp_path, folder):
    (tmp_path / "epss.csv.gz").write_bytes(gzip.compress(EPSS.encode()))
    feeds.bundle(tmp_path / "b.zip", folder, kev=None, epss=tmp_path / "epss.csv.gz", date=DAY)
    assert offline(tmp_path / "b.zip").opinions.epss_ppm == {"CVE-2026-1": 500_000}


@pytest.mark.verifies("REQ-SBM-004")
def test_a_bundle_is_no_younger_for_being_packed_of_old_records_today(tmp_path, folder):
    feeds.bundle(tmp_path / "old.zip", folder, kev=None, epss=None, date=DAY + dt.timedelta(30))
    with pytest.raises(FeedUnusable, match="no record in it is newer than 2026-02-28"):
        offline(tmp_path / "old.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_a_record_that_unpacks_to_more_than_the_limit_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_RECORD_BYTES", 1_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PYSEC-1.json", b" " * 100_000)
    with pytest.raises(FeedUnusable, match="at most 1000"):
        offline(tmp_path / "bomb.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_all_records_together_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_BYTES", 1_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"PYSEC-{number}.json", b" " * 400)
    with pytest.raises(FeedUnusable, match="together"):
        offline(tmp_path / "bomb.zip")


@pytest.mark.verifies("REQ-SBM-004")
def test_so_many_files_are_not_read(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_RECORDS", 0)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("PYSEC-1.json", b"{}")
    with pytest.raises(FeedUnusable, match="more than 0 files"):
        offline(tmp_path / "many.zip")


@pytest.mark.verifies("REQ-SBM-004")
@pytest.mark.parametrize(("day", "words"), [(DAY - dt.timedelta(8), "8 days old"), (DAY + dt.timedelta(2), "to come")])
def test_a_feed_that_is_too_old_or_from_tomorrow_cannot_be_relied_on(day, words):
    with pytest.raises(FeedUnusable, match=words):
        feeds.require_fresh([Feed(name="osv", date=day, records=1)], DAY, 7)


@pytest.mark.verifies("REQ-SBM-004")
def test_a_feed_of_the_last_day_that_counts_is_fresh():
    assert feeds.require_fresh([Feed(name="osv", date=DAY - dt.timedelta(7), records=1)], DAY, 7) is None


@pytest.mark.verifies("REQ-SBM-004")
@pytest.mark.parametrize(("name", "text"), [("kev", "{}"), ("kev", "no"), ("epss", "cve,epss\n"), ("epss", "\xff")])
def test_a_second_opinion_that_is_none_is_refused(folder, tmp_path, name, text):
    (tmp_path / "file").write_text(text, "latin-1")
    with pytest.raises(FeedUnusable, match=name):
        offline(folder, **{name: tmp_path / "file"})


def component(name="jinja2", version="2.10", **other):
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "name": name, "version": version, "purl": purl} | other


@pytest.mark.verifies("REQ-SBM-004")
def test_what_does_not_ship_is_not_looked_up():
    found = feeds.audited({"components": [component(), component("pytest", scope="excluded")]})
    assert [each.name for each in found] == ["jinja2"]


@pytest.mark.verifies("REQ-SBM-004")
def test_a_component_inside_another_is_looked_up():
    found = feeds.audited({"components": [{"type": "application", "name": "x", "components": [component()]}]})
    assert [each.name for each in found] == ["jinja2"]


@pytest.mark.verifies("REQ-SBM-004")
def test_what_no_feed_knows_is_counted_by_kind():
    others = [{"type": "library", "name": "l", "purl": "pkg:deb/debian/l@1"}, {"type": "container", "name": "base"}]
    excluded = {"type": "library", "name": "m", "purl": "pkg:npm/m@1", "scope": "excluded"}
    assert feeds.unaudited({"components": [component(), *others, excluded]}) == {"container": 1, "deb": 1}


@pytest.mark.verifies("REQ-SBM-004")
def test_a_component_without_a_version_cannot_be_looked_up():
    with pytest.raises(FeedUnusable, match="no version"):
        feeds.audited({"components": [{"name": "x", "purl": "pkg:pypi/x"}]})


@pytest.mark.verifies("REQ-SBM-004")
def test_a_document_without_a_python_package_is_refused():
    with pytest.raises(DocumentInvalid, match="nothing would be audited"):
        feeds.audited({})


@pytest.mark.verifies("REQ-SBM-004")
@pytest.mark.skipif(not ADVISORIES.is_dir(), reason="no advisories under MEDAI_TEST_VECTORS")
def test_the_shared_advisories_are_read_and_dated():
    told = offline(ADVISORIES)
    assert told.feeds[0].records == len(told.records) > 40


class Osv:
    """OSV's query on this machine alone: `vulnerable` by name, and what it was asked."""

    def __init__(self):
        self.vulnerable: dict[str, list[object]] = {}
        self.asked: list[tuple[str, str]] = []
        self.status = 200
        osv = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                osv.asked.append((asked["package"]["name"], asked["version"]))
                body = json.dumps({"vulns": osv.vulnerable.get(asked["package"]["name"], [])}).encode()
                self.send_response(osv.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/query"


@pytest.fixture
def osv(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Osv()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


AUDITED = (Audited(ref="pkg:pypi/jinja2@2.10", name="jinja2", version="2.10"),
           Audited(ref="pkg:pypi/click@8.0", name="click", version="8.0"))  # fmt: skip
VULNERABLE = {
    "id": "GHSA-1", "aliases": ["CVE-2026-1"], "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
    "summary": "a hole", "details": "a hole",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "jinja2"},
                  "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.11"}]}]}],
}  # fmt: skip


def test_online_every_component_is_asked_for_and_what_is_found_is_told(osv):
    osv.vulnerable["jinja2"] = [VULNERABLE]
    (found,) = feeds.online(AUDITED, osv_url=osv.url)
    assert (found.component, found.fixed_in) == ("pkg:pypi/jinja2@2.10", ("2.11",))
    assert {found.id, *found.aliases} >= {"CVE-2026-1"}
    assert sorted(osv.asked) == [("click", "8.0"), ("jinja2", "2.10")]


def test_online_nothing_is_found_where_nothing_is(osv):
    assert feeds.online(AUDITED, osv_url=osv.url) == ()


def test_a_service_that_fails_is_not_none_found(osv):
    osv.status = 500
    with pytest.raises(FeedUnusable, match="pip-audit"):
        feeds.online(AUDITED, osv_url=osv.url)
