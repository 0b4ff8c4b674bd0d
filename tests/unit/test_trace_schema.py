"""The JSON Schema in the tree is that of the matrix that is written."""

import json

import jsonschema
import msgspec
import pytest

from tests.trace_matrices import a_finding, a_link, a_matrix, many
from traceability import matrix, rows, schema


@pytest.fixture(scope="module")
def document(repository):
    return json.loads((repository / "traceability" / "matrix.schema.json").read_text("utf-8"))


@pytest.mark.verifies("REQ-TRC-009")
def test_the_schema_in_the_tree_is_the_one_that_is_made(repository):
    kept = (repository / "traceability" / "matrix.schema.json").read_text("utf-8")
    assert kept == schema.text(), "run: python -c 'from traceability import schema; print(schema.text(), end=\"\")'"


def test_the_schema_is_one_of_its_dialect(document):
    jsonschema.Draft202012Validator.check_schema(document)


FULL = a_matrix(
    findings=(a_finding(),),
    links=(
        a_link(mutants=rows.Mutants(total=3, tried=3, killed=2, survivors=("a.py:1: x",), exhausted=False)),
        a_link(kind="exception", level=None, demanded=None, verdict="stated", branches=None, reason="no test can"),
    ),
)


@pytest.mark.parametrize("found", [a_matrix(), FULL, many(60)], ids=["one", "everything", "many"])
def test_every_matrix_that_is_written_is_valid(document, found):
    jsonschema.Draft202012Validator(document).validate(json.loads(matrix.encode(found)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value.pop("project"),
        lambda value: value.update(format="medai.matrix/2"),
        lambda value: value.update(more=1),
        lambda value: value["requirements"][0].update(safety_class="D"),
        lambda value: value["requirements"][0].update(more=1),
        lambda value: value["links"][0].update(level=9),
    ],
    ids=["missing", "format", "unknown", "class", "unknown within", "level"],
)
def test_what_is_no_matrix_is_not_valid(document, spoil):
    value = msgspec.json.decode(matrix.encode(a_matrix()))
    spoil(value)
    assert not jsonschema.Draft202012Validator(document).is_valid(value)


def test_a_matrix_is_read_back_as_it_was_written():
    assert matrix.decode(matrix.encode(FULL)) == FULL
