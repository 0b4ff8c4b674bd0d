"""The release that is active: every record names it, and its page is shown to those who may read releases."""

import re

import pytest

from audit import record as records
from service.http.releases import content_security_policy

pytestmark = pytest.mark.verifies("REQ-REL-007")

DIGEST = "d" * 64
PAGE = b"<!doctype html><style>p{color:red}</style><p>Release</p><script>let a = 1</script>"
MANAGER = {"authorization": "Bearer manager"}


def test_a_predictions_record_names_the_release(service, drive):
    async def scenario():
        running = service(release=DIGEST)
        await running.infer()
        assert running.ledger.of_kind(records.Prediction)[0].release == DIGEST

    drive(scenario)


def test_a_refusals_record_names_the_release(service, drive):
    async def scenario():
        running = service(release=DIGEST)
        await running.ask("GET", "/nowhere")
        assert running.ledger.of_kind(records.Request)[0].release == DIGEST

    drive(scenario)


def test_a_windows_records_name_the_release(service, drive):
    async def scenario():
        running = service(release=DIGEST)
        await running.ask("GET", "/docs")
        await running.application.windows.close_all()
        assert {window.release for window in running.ledger.of_kind(records.Window)} == {DIGEST}

    drive(scenario)


def test_records_say_null_until_there_is_a_release(service, drive):
    async def scenario():
        running = service()
        await running.infer()
        assert running.ledger.of_kind(records.Prediction)[0].release is None

    drive(scenario)


def test_the_page_is_served_as_it_was_given(service, drive):
    async def scenario():
        answer = await service(release=DIGEST, release_page=PAGE).ask("GET", "/console/releases", headers=MANAGER)
        assert (answer.status, answer.body) == (200, PAGE)

    drive(scenario)


def test_each_view_of_the_page_is_on_record_by_itself(service, drive):
    async def scenario():
        running = service(release=DIGEST, release_page=PAGE)
        for _ in range(2):
            await running.ask("GET", "/console/releases", headers=MANAGER)
        seen = running.ledger.of_kind(records.Request)
        assert [(each.route, each.actor, each.status) for each in seen] == [("/console/releases", "manager", 200)] * 2

    drive(scenario)


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"authorization": "Bearer no-scope"}, 403), (MANAGER, 404)]
)
def test_nobody_sees_a_page_without_the_scope_or_where_there_is_none(service, drive, headers, status):
    async def scenario():
        page = None if status == 404 else PAGE
        answer = await service(release_page=page).ask("GET", "/console/releases", headers=headers)
        assert answer.status == status

    drive(scenario)


def test_the_policy_admits_the_pages_own_styles_and_scripts_by_their_digests_and_nothing_else():
    policy = content_security_policy(PAGE)
    assert policy.startswith("default-src 'none'")
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe" not in policy
