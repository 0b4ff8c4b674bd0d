"""The matrix as CSV: complete, read back by any reader, and harmless in a spreadsheet."""

import csv
import io

import pytest

from tests.trace_matrices import TEST, a_link, a_matrix, a_requirement, a_test, a_unit
from traceability import rows, table

pytestmark = pytest.mark.verifies("REQ-TRC-009")


def read(found):
    text = table.text(found)
    return list(csv.DictReader(io.StringIO(text.removeprefix(table.MARK), newline="")))


def test_every_citation_of_a_requirement_is_a_line():
    assert [(line["requirement"], line["cited_by"], line["target"]) for line in read(a_matrix())] == [
        ("REQ-A-001", "implementation", "product/answer.py::answer"),
        ("REQ-A-001", "test", TEST),
    ]


def test_a_line_says_how_far_the_link_is_proved_and_what_came_of_its_test():
    code, test = read(a_matrix())
    assert (code["link_level"], code["branches"], test["outcome"]) == ("L2", "3 of 4", "passed")


def test_a_line_names_the_sources_and_hazards_of_its_requirement():
    (line, _) = read(a_matrix())
    assert (line["sources"], line["hazards"]) == ("NEED-1", "HAZ-001")


def test_a_requirement_that_nothing_cites_has_a_line_of_its_own():
    (line,) = read(a_matrix(links=(), units=(), tests=()))
    assert (line["requirement"], line["cited_by"], line["target"]) == ("REQ-A-001", "", "")


def test_a_citation_of_a_requirement_that_is_not_there_has_a_line():
    lines = read(a_matrix(links=(a_link("REQ-GONE"),)))
    assert [(line["requirement"], line["target"]) for line in lines] == [
        ("REQ-A-001", ""), ("REQ-GONE", "product/answer.py::answer"),
    ]  # fmt: skip


def test_a_review_is_on_the_line_with_what_moved_since():
    moved = rows.Review(status="suspect", reviewer="Ben <b@example.org>", reviewed_at="2026-01-02T03:04:05Z",
                        meaning="review", moved=("the code", "hazard HAZ-001"))  # fmt: skip
    (line,) = read(a_matrix(links=(a_link(review=moved),)))
    assert (line["review"], line["reviewer"], line["moved"]) == (
        "suspect",
        "Ben <b@example.org>",
        "the code; hazard HAZ-001",
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_no_cell_begins_like_a_formula(start):
    hostile = f"{start}cmd|' /C calc'!A0"
    found = a_matrix(
        requirements=(a_requirement(title=hostile, why=hostile),), units=(a_unit(),), tests=(a_test(),),
        links=(a_link(reason=hostile, why=hostile),),
    )  # fmt: skip
    cells = [cell for line in read(found) for cell in line.values()]
    assert f"'{hostile}" in cells
    assert [cell for cell in cells if cell.startswith(start)] == []


def test_commas_quotes_and_line_breaks_within_a_cell_are_read_back():
    awkward = 'a, "b"\nc; d'
    (line, _) = read(a_matrix(requirements=(a_requirement(title=awkward),)))
    assert line["title"] == awkward


def test_lines_end_as_the_standard_has_it():
    text = table.text(a_matrix())
    assert text.count("\r\n") == text.count("\n") == 3


def test_the_same_matrix_gives_the_same_bytes():
    assert table.text(a_matrix()) == table.text(a_matrix())
