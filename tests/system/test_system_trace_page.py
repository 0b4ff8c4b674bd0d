"""The matrix's page in a real browser, where there is one, as a person uses it: by eye, by key, on paper."""

import os

import pytest
from playwright.sync_api import sync_playwright

from tests.system.browser import found_or_skipped
from tests.trace_matrices import TEST, a_hazard, a_link, a_matrix, a_requirement, a_test, many
from traceability import page, rows

pytestmark = pytest.mark.system

SUSPECT = rows.Review(status="suspect", reviewer="Ben <b@e.org>", reviewed_at="2026-01-02T03:04:05Z", meaning="review",
                      moved=("the code",))  # fmt: skip
SMALL = a_matrix(
    requirements=(
        a_requirement(),
        a_requirement("REQ-B-002", title="It forgets nothing", safety_class="C", verdict="failed", level=1, demanded=4,
                      units=(), tests=(), hazards=(), why="nothing verifies it"),
    ),
    hazards=(a_hazard(controls=("REQ-A-001", "REQ-B-002"), controlled=False),),
    tests=(
        a_test(nodes=(rows.TestNode(node=f"{TEST}[a]", outcome="passed", duration_us=1500),
                      rows.TestNode(node=f"{TEST}[b]", outcome="failed", duration_us=20)), outcome="failed"),
    ),
    links=(a_link(review=SUSPECT), a_link(target=TEST, kind="test", partners=("product/answer.py::answer",))),
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    where = found_or_skipped()
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []  # the browser's own does not work as root
        browser = playwright.chromium.launch(executable_path=where, args=options)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page made from a matrix; whatever it asked of a network or complained of is in `said`."""
    contexts = []

    def opened(found, address="", **context):
        place = tmp_path / "matrix.html"
        place.write_text(page.text(found), "utf-8")
        contexts.append(browser.new_context(viewport={"width": 1400, "height": 900}, **context))
        shown = contexts[-1].new_page()
        shown.said = []
        shown.on("console", lambda message: shown.said.append(message.text))
        shown.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.on(
            "request",
            lambda request: shown.said.append(request.url) if request.url[:5] not in ("file:", "data:") else 0,
        )
        shown.goto(f"{place.as_uri()}{address}", wait_until="load")
        return shown

    yield opened
    for context in contexts:
        context.close()


def visible(shown, name):
    return shown.locator(f"#{name} tbody tr:visible").evaluate_all("rows => rows.map((row) => row.id)")


def test_the_page_asks_nobody_and_complains_of_nothing(opened):
    shown = opened(SMALL)
    for key in ("2", "3", "4", "5", "6", "1", "?", "Escape", "j", "Enter", "Escape"):
        shown.keyboard.press(key)
    assert shown.said == []


def test_a_hazard_leads_to_the_result_of_a_test(opened):
    shown = opened(SMALL)
    shown.keyboard.press("2")
    shown.locator("#hazards tbody tr").first.click()
    shown.locator(".detail a", has_text="it answers").first.click()
    results = shown.locator(".detail h4:text-is('Results') + ul li").all_inner_texts()
    assert [" ".join(one.split()) for one in results] == [f"passed 1.5 ms {TEST}[a]", f"failed 20 µs {TEST}[b]"]


def test_a_test_leads_back_to_the_requirement_and_its_hazard(opened):
    shown = opened(SMALL, "#test/tests/test_answer.py%3A%3Atest_it_answers")
    shown.locator(".detail a", has_text="REQ-A-001").first.click()
    shown.locator(".detail a", has_text="HAZ-001").first.click()
    assert shown.locator(".detail h3").inner_text() == "No answer"


def test_code_leads_to_the_tests_that_ran_it(opened):
    shown = opened(SMALL)
    shown.keyboard.press("3")
    shown.keyboard.press("j")
    shown.keyboard.press("Enter")
    shown.locator(".detail summary").click()
    assert shown.locator(".detail details a").inner_text() == "it answers"


def test_a_suspect_link_says_what_moved(opened):
    shown = opened(SMALL, "#requirement/REQ-A-001")
    assert "moved since: the code" in shown.locator(".detail").inner_text()


def test_words_choose_among_the_rows(opened):
    shown = opened(SMALL)
    shown.keyboard.press("/")
    shown.keyboard.type("forgets")
    assert (visible(shown, "requirements"), shown.locator(".count").inner_text()) == (
        ["requirement/REQ-B-002"],
        "1 of 2",
    )


def test_a_word_of_the_text_finds_its_requirement(opened):
    shown = opened(a_matrix(requirements=(a_requirement(), a_requirement("REQ-B-002", text="It shall sing."))))
    shown.fill("#find", "sing")
    assert visible(shown, "requirements") == ["requirement/REQ-B-002"]


@pytest.mark.parametrize(("by", "value"), [("class", "C"), ("verdict", "failed")])
def test_a_choice_leaves_the_rows_that_are_like_it(opened, by, value):
    shown = opened(SMALL)
    shown.select_option(f"#by-{by}", value)
    assert visible(shown, "requirements") == ["requirement/REQ-B-002"]


def test_nothing_found_is_said_and_can_be_undone(opened):
    shown = opened(SMALL)
    shown.fill("#find", "nowhere")
    shown.click("#clear")
    assert len(visible(shown, "requirements")) == 2


def test_a_heading_sorts_and_sorts_the_other_way(opened):
    shown = opened(SMALL)
    orders = []
    for _ in range(2):
        shown.click("#requirements th button:text-is('Class')")
        orders.append(visible(shown, "requirements"))
    assert orders == [
        ["requirement/REQ-A-001", "requirement/REQ-B-002"],
        ["requirement/REQ-B-002", "requirement/REQ-A-001"],
    ]


def test_everything_can_be_done_by_key(opened):
    shown = opened(SMALL)
    for key in ("j", "j", "Enter"):
        shown.keyboard.press(key)
    opened_by_key = shown.locator(".detail h3").inner_text()
    shown.keyboard.press("k")
    moved_by_key = shown.locator(".detail h3").inner_text()
    shown.keyboard.press("Escape")
    assert (opened_by_key, moved_by_key, shown.locator(".detail").is_visible()) == (
        "It forgets nothing",
        "It answers",
        False,
    )


def test_tabs_are_turned_with_the_arrow_keys(opened):
    shown = opened(SMALL)
    shown.focus("#tab-requirements")
    shown.keyboard.press("ArrowRight")
    assert (shown.evaluate("document.activeElement.id"), visible(shown, "hazards")) == (
        "tab-hazards",
        ["hazard/HAZ-001"],
    )


def test_going_back_shows_what_was_shown_before(opened):
    shown = opened(SMALL, "#requirement/REQ-A-001")
    shown.locator(".detail a", has_text="HAZ-001").click()
    shown.locator(".detail h3", has_text="No answer").wait_for()
    shown.go_back()
    shown.locator(".detail h3", has_text="It answers").wait_for()
    assert shown.locator(".detail .id").inner_text() == "REQ-A-001"


@pytest.mark.parametrize(
    "address", ["#requirement/GONE", "#nothing", "#requirement/%E0%A4%A", "#constructor/x", "#__proto__/x"]
)
def test_an_address_that_leads_nowhere_shows_the_list(opened, address):
    shown = opened(SMALL, address)
    assert (len(visible(shown, "requirements")), shown.locator(".detail").is_visible(), shown.said) == (2, False, [])


def test_the_system_chooses_light_or_dark_and_a_person_the_other(opened):
    shown = opened(SMALL, color_scheme="dark")
    paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()"
    dark = shown.evaluate(paper)
    shown.click("#theme")
    assert (dark, shown.evaluate(paper)) == ("#0f141a", "#ffffff")


def test_on_paper_stands_what_was_chosen_with_all_that_belongs_to_it(opened):
    shown = opened(SMALL)
    shown.fill("#find", "REQ-A")
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    text = shown.locator("#requirements tbody").inner_text()
    assert ("The service shall answer." in text, f"test: {TEST}" in text, "REQ-B-002" in text) == (True, True, False)


def test_paper_shows_no_controls(opened):
    shown = opened(SMALL, "#requirement/REQ-A-001")
    shown.emulate_media(media="print")
    assert [shown.locator(name).is_visible() for name in (".bar-top", ".detail", "#theme")] == [False, False, False]


def test_without_scripts_every_list_is_shown(opened):
    shown = opened(SMALL, java_script_enabled=False)
    assert shown.locator("tbody tr:visible").count() >= 5


def test_two_thousand_requirements_are_shown_and_narrowed_to_one(opened):
    shown = opened(many(2000))
    all_of_them = shown.locator(".count").inner_text()
    shown.fill("#find", "REQ-01234")
    assert (all_of_them, visible(shown, "requirements"), shown.said) == ("2000", ["requirement/REQ-01234"], [])


def test_hostile_words_stay_words(opened):
    words = '</script><img src=x onerror="document.title=1"><script>document.title=2</script>'
    shown = opened(
        a_matrix(requirements=(a_requirement(title=words, text=words),), project=words), "#requirement/REQ-A-001"
    )
    assert (shown.locator(".detail h3").inner_text(), shown.title()) == (words, f"{words}: traceability")
