"""The page holds the matrix, shows text as text, and asks nobody for anything."""

import base64
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import msgspec
import pytest

from tests.trace_matrices import (
    TEST,
    a_finding,
    a_hazard,
    a_link,
    a_matrix,
    a_requirement,
    a_summary,
    a_test,
    a_unit,
    many,
)
from traceability import matrix, page, rows

pytestmark = pytest.mark.verifies("REQ-TRC-010")

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(1)"> <!-- {{ 7 * 7 }} ' " & \u2028"""


ORIGIN = rows.OriginRow(
    id=HOSTILE, kind="clause", title=HOSTILE, document=HOSTILE, edition="", read="", file="", line=1
)


class Reader(HTMLParser):
    """What a browser makes of a page: every element with its attributes, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inline, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open = (tag, dict(attrs), [])

    def handle_data(self, data):
        if self._open:
            self._open[2].append(data)

    def handle_endtag(self, tag):
        if self._open and tag == self._open[0]:
            self.inline.append((self._open[0], self._open[1], "".join(self._open[2])))
            self._open = None

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read(found=None):
    return Reader(page.text(found or a_matrix()))


def hostile():
    unit, test = f"a/{HOSTILE}.py::f", f"t/{HOSTILE}.py::test_x"
    return a_matrix(
        project=HOSTILE,
        requirements=(a_requirement(title=HOSTILE, text=HOSTILE, why=HOSTILE, units=(unit,), tests=(test,)),),
        hazards=(a_hazard(title=HOSTILE, hazard=HOSTILE),), units=(a_unit(unit),), tests=(a_test(test),),
        links=(a_link(target=unit, why=HOSTILE, partners=(test,)), a_link(target=test, kind="test")),
        findings=(a_finding(text=HOSTILE, subject=HOSTILE, file=HOSTILE),),
        origins=(ORIGIN,),
    )  # fmt: skip


@pytest.mark.parametrize("found", [a_matrix(), hostile(), many(30)], ids=["one", "hostile", "many"])
def test_the_page_holds_the_canonical_matrix(found):
    (held,) = [text for tag, attributes, text in read(found).inline if attributes.get("id") == "matrix"]
    assert json.loads(held) == json.loads(matrix.encode(found))


def test_the_page_names_the_digest_of_the_canonical_matrix():
    assert sha256(matrix.encode(a_matrix())).hexdigest() in page.text(a_matrix())


@pytest.mark.parametrize("found", [a_matrix(), hostile()], ids=["one", "hostile"])
def test_nothing_is_named_that_a_browser_would_fetch(found):
    made = read(found)
    fetched = [
        attributes[name]
        for _, attributes in made.elements
        for name in ("src", "href", "action", "srcset", "data", "poster")
        if name in attributes and not attributes[name].startswith(("#", "data:,"))
    ]
    styles = "".join(text for tag, _, text in made.inline if tag == "style")
    assert (fetched, re.findall(r"url\(|@import", styles)) == ([], [])


def test_the_policy_lets_run_what_is_in_the_page_and_nothing_else():
    made = read()
    (policy,) = [one["content"] for one in made.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    run = {
        tag: f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
        for tag, attributes, text in made.inline
        if attributes.get("type") != "application/json"
    }
    assert policy == (
        f"default-src 'none'; script-src {run['script']}; style-src {run['style']}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


@pytest.mark.parametrize("found", [a_matrix(), hostile(), many(10)], ids=["one", "hostile", "many"])
def test_nothing_in_the_page_needs_what_the_policy_forbids(found):
    handlers = [
        name
        for _, attributes in read(found).elements
        for name in attributes
        if name.startswith("on") or name == "style"
    ]
    assert handlers == []


def test_hostile_words_make_no_element():
    made = read(hostile())
    assert [len(made.of("img")), len(made.of("script"))] == [0, 2]


def test_a_template_within_the_words_is_not_carried_out():
    assert "49" not in re.sub(r"[0-9a-f]{64}", "", page.text(hostile()).partition("<main")[2].partition("<script")[0])


def test_every_row_of_the_matrix_has_its_row_and_address():
    ids = {attributes["id"] for attributes in read().of("tr") if "id" in attributes}
    assert ids == {
        "requirement/REQ-A-001", "hazard/HAZ-001", "code/product/answer.py%3A%3Aanswer",
        "test/tests/test_answer.py%3A%3Atest_it_answers", "source/NEED-1",
    }  # fmt: skip


def test_every_link_within_the_page_leads_to_a_row_that_is_there():
    made = read(many(40))
    ids = {attributes.get("id") for _, attributes in made.elements}
    assert [one["href"] for one in made.of("a") if one["href"][1:] not in ids] == []


def test_ids_of_a_page_are_unique():
    ids = [attributes["id"] for _, attributes in read(many(40)).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_source_that_is_in_no_catalogue_has_a_row_of_its_own():
    assert "NEED-1" in page.text(a_matrix(origins=()))


def test_a_gate_that_is_closed_is_said_to_be():
    text = page.text(a_matrix(findings=(a_finding(),), summary=a_summary(failing=1)))
    assert "Gate closed: 1 finding<" in text


def test_a_gate_that_is_open_is_said_to_be():
    assert "Gate open: nothing fails" in page.text(a_matrix())


def test_findings_that_fail_come_before_notes():
    text = page.text(a_matrix(findings=(a_finding(severity="note", code="less"), a_finding(code="more"))))
    assert text.index('id="finding/1"') < text.index('id="finding/0"')


def test_a_part_of_the_suite_is_called_one():
    evidence = msgspec.structs.replace(a_matrix().evidence, complete=False)
    assert "A part of the test suite was run" in page.text(a_matrix(evidence=evidence))


def test_packages_are_listed_apart_from_the_head():
    evidence = msgspec.structs.replace(a_matrix().evidence, environment={"python": "3.11", "package:jinja2": "3.1"})
    text = page.text(a_matrix(evidence=evidence))
    assert ("python 3.11" in text.partition("</header>")[0], "package:" in text.partition('id="matrix"')[0]) == (
        True,
        False,
    )


def test_the_bar_of_a_class_is_as_long_as_the_class():
    widths = [int(one["width"]) for one in read(a_matrix(summary=a_summary(classes=(
        rows.ClassSummary(safety_class="C", demanded=4, requirements=7, proved=1, levels=(1, 1, 1, 1, 1), unlinked=2),
    )))).of("rect")]  # fmt: skip
    assert (sum(widths), len(widths)) == (1000, 6)


def test_the_same_matrix_gives_the_same_bytes():
    assert page.text(many(50)) == page.text(many(50))


def test_a_page_without_anything_is_a_page():
    empty = a_matrix(requirements=(), hazards=(), units=(), tests=(), links=(), summary=a_summary(classes=()))
    assert read(empty).of("tr") != []


def test_a_tests_name_is_shown_as_a_sentence():
    assert ">it answers</td>" in page.text(a_matrix(tests=(a_test(TEST),)))
