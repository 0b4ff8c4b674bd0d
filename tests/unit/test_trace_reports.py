"""The reports are written whole, say the same for the same matrix, and the commands end as scripts expect."""

import json
import os

import pytest

from service import cli
from tests.trace_matrices import a_hazard, a_matrix, a_requirement, many
from traceability import cli_reports, matrix, reports
from traceability.errors import ConfigurationInvalid, EvidenceInvalid, EvidenceMissing

NAMES = {"matrix.html", "matrix.csv", "matrix.json", "matrix.schema.json", "matrix.reqif", "summary.md"}


@pytest.mark.verifies("REQ-TRC-009")
def test_every_report_is_written(tmp_path):
    written = reports.write(a_matrix(), tmp_path / "new" / "folder")
    assert {path.name for path in written if path.stat().st_size} == NAMES


@pytest.mark.verifies("REQ-TRC-009")
def test_the_same_matrix_is_written_with_the_same_bytes(tmp_path):
    one, other = ({path.name: path.read_bytes() for path in reports.write(many(50), tmp_path / name)} for name in "ab")
    assert one == other


@pytest.mark.verifies("REQ-TRC-009")
def test_no_report_holds_the_time_of_its_making(tmp_path):
    written = reports.write(reports.timeless(a_matrix(), "0"), tmp_path)
    year = b"2026-"  # of the fake test run, and of no clock
    assert [path.name for path in written if year in path.read_bytes()] == []


def test_without_its_times_a_matrix_does_not_depend_on_how_fast_its_tests_ran():
    slow = matrix.decode(matrix.encode(many(20)).replace(b'"duration_us":1500', b'"duration_us":9999'))
    assert reports.timeless(slow, "1700000000") == reports.timeless(many(20), "1700000000")


def test_the_time_given_is_the_time_that_is_said():
    assert reports.timeless(a_matrix(), "1700000000").evidence.started_at == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("epoch", ["", "now", "-1", "1.5", "1" * 12, "²"])
def test_a_time_that_is_no_number_of_seconds_is_refused(epoch):
    with pytest.raises(ConfigurationInvalid):
        reports.timeless(a_matrix(), epoch)


@pytest.mark.verifies("REQ-TRC-009")
def test_a_matrix_is_read_back_from_its_folder_and_from_its_file(tmp_path):
    reports.write(a_matrix(), tmp_path)
    assert reports.read(tmp_path) == reports.read(tmp_path / "matrix.json") == a_matrix()


def test_a_matrix_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(EvidenceMissing):
        reports.read(tmp_path)


def test_a_file_that_is_no_matrix_is_refused(tmp_path):
    (tmp_path / "matrix.json").write_text("{}")
    with pytest.raises(EvidenceInvalid):
        reports.read(tmp_path)


@pytest.mark.verifies("REQ-TRC-009")
def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationInvalid):
        reports.write(a_matrix(), tmp_path / "file" / "folder")


@pytest.fixture
def surveyed(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(cli_reports, "survey", lambda root, evidence: a_matrix())


@pytest.mark.verifies("REQ-TRC-009")
def test_the_command_writes_where_it_is_told_and_names_the_files(surveyed, tmp_path, capsys):
    code = cli.main(["trace", "report", "--out", str(tmp_path)])
    assert (code, {os.path.basename(line) for line in capsys.readouterr().out.splitlines()}) == (0, NAMES)


@pytest.mark.verifies("REQ-TRC-009")
def test_the_command_takes_the_times_out_where_a_build_is_to_repeat(surveyed, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    cli.main(["trace", "report", "--out", str(tmp_path)])
    assert reports.read(tmp_path).evidence.started_at == "1970-01-01T00:00:00Z"


@pytest.mark.verifies("REQ-TRC-009")
def test_the_summary_compares_with_the_base_that_is_given(surveyed, tmp_path):
    reports.write(a_matrix(requirements=(a_requirement(verdict="open"),)), tmp_path / "base")
    cli.main(["trace", "report", "--out", str(tmp_path), "--base", str(tmp_path / "base")])
    assert "open → proved" in (tmp_path / "summary.md").read_text("utf-8")


def test_a_project_that_is_not_traced_has_no_report(tmp_path, capsys):
    code = cli.main(["trace", "report", "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    assert (code, capsys.readouterr().err.startswith("medai: trace_setting_invalid: ")) == (3, True)


@pytest.fixture
def compared(tmp_path):
    """Runs `medai trace diff` on two matrices."""

    def compared(old, new, *options):
        reports.write(old, tmp_path / "old")
        reports.write(new, tmp_path / "new")
        return cli.main(["trace", "diff", str(tmp_path / "old"), str(tmp_path / "new" / "matrix.json"), *options])

    return compared


WORSE = a_matrix(hazards=(a_hazard(controlled=False),))


@pytest.mark.verifies("REQ-TRC-009")
@pytest.mark.parametrize(
    ("old", "new", "code"), [(a_matrix(), a_matrix(), 0), (a_matrix(), WORSE, 1), (WORSE, a_matrix(), 0)]
)
def test_the_comparison_ends_with_one_where_something_got_worse(compared, old, new, code):
    assert compared(old, new) == code


@pytest.mark.verifies("REQ-TRC-009")
def test_the_comparison_says_what_changed(compared, capsys):
    compared(a_matrix(), WORSE)
    assert "! hazard      uncontrolled HAZ-001" in capsys.readouterr().out


@pytest.mark.verifies("REQ-TRC-009")
def test_the_comparison_is_had_as_json(compared, capsys):
    compared(a_matrix(), WORSE, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], [one["subject"] for one in told["changes"]]) == ("medai.matrix-difference/1", ["HAZ-001"])


@pytest.mark.verifies("REQ-TRC-009")
def test_the_comparison_is_had_as_tables(compared, capsys):
    compared(a_matrix(), WORSE, "--markdown")
    assert "| ! | uncontrolled | `HAZ-001` |" in capsys.readouterr().out


def test_what_is_no_matrix_is_not_compared(tmp_path, capsys):
    code = cli.main(["trace", "diff", str(tmp_path), str(tmp_path)])
    assert (code, capsys.readouterr().err.startswith("medai: evidence_missing: ")) == (3, True)
