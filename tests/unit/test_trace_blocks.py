from textwrap import dedent

import pytest

from traceability import blocks

SQL = """
    -- implements: REQ-1
    CREATE FUNCTION append() RETURNS void AS $body$
    BEGIN
        PERFORM 1; -- a semicolon within
    END;
    $body$ LANGUAGE plpgsql;

    CREATE TABLE other (id int);
    """
YAML = """
    kind: Service
    # implements: REQ-1
    spec:
      ports:
        - port: 80
      # a comment at the end
    status: none
    """
TERRAFORM = """
    # implements: REQ-1
    resource "storage" "anchors" {
      name = "a}b"
      immutability {
        days = 30
      }
    }

    resource "other" "one" {}
    """
DOCKERFILE = """
    FROM base
    # implements: REQ-1
    RUN one \\
        && two \\
        && three
    USER nobody
    """
TOML = """
    # implements: REQ-1
    [limits]
    size = 5
    names = [
        "a",
    ]

    [other]
    size = 6
    """
SHELL = """
    # implements: REQ-1
    set -e
    run

    other
    """


def _read(text, file):
    spoken = blocks.language(file)
    assert spoken is not None
    return blocks.read(text, file, spoken)


def _unit(text, file):
    return _read(dedent(text).lstrip("\n"), file).units[0]


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    ("file", "text", "name", "lines"),
    [
        ("a/ledger.sql", SQL, "CREATE FUNCTION append() RETURNS void AS $body$", (2, 6)),
        ("deploy/service.yaml", YAML, "spec:", (3, 5)),
        ("main.tf", TERRAFORM, 'resource "storage" "anchors" {', (2, 7)),
        ("Dockerfile", DOCKERFILE, "RUN one \\", (3, 5)),
        ("deploy/Dockerfile.slim", DOCKERFILE, "RUN one \\", (3, 5)),
        ("limits.toml", TOML, "[limits]", (2, 6)),
        ("run.sh", SHELL, "set -e", (2, 3)),
        ("Makefile", SHELL, "set -e", (2, 3)),
    ],
)
def test_a_block_is_what_follows_the_mark_to_its_end(file, text, name, lines):
    unit = _unit(text, file)
    assert (unit.name, (unit.first_line, unit.last_line)) == (name, lines)


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("a.sql", "CREATE TABLE a (id int); -- implements: REQ-1"),
        ("a.sql", "/* implements: REQ-1 */\nCREATE TABLE a (id int);"),
        ("a.yml", "size: 5  # implements: REQ-1"),
        ("a.hcl", "size = 5 // implements: REQ-1"),
        ("a.toml", "size = 5 # implements: REQ-1"),
    ],
)
def test_a_mark_may_stand_in_each_of_the_comments_of_a_language(file, line):
    read = _read(line, file)
    assert [(mark.requirement, mark.kind) for mark in read.citations] == [("REQ-1", "implementation")]


@pytest.mark.verifies("REQ-TRC-002")
def test_a_block_is_nothing_that_coverage_can_see_run():
    assert not _unit(SQL, "a.sql").executable


@pytest.mark.parametrize("file", ["picture.png", "notes.txt", "README"])
def test_a_file_of_another_kind_is_not_read(file):
    assert blocks.language(file) is None


@pytest.mark.verifies("REQ-TRC-002")
def test_a_mark_without_its_reason_is_said_with_its_line():
    read = blocks.read("a: 1\n# exception: REQ-1\nb: 2", "a.yaml", "yaml")
    assert [(fault.code, fault.line) for fault in read.faults] == [("mark_unreadable", 2)]


@pytest.mark.verifies("REQ-TRC-002")
def test_a_mark_at_the_end_of_a_file_is_about_its_last_line():
    assert _unit("size: 5\n# implements: REQ-1\n", "a.yaml").first_line == 2
