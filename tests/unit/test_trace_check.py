import json
import sqlite3

import pytest

from service import cli
from tests import trace_projects
from traceability.survey import survey

pytestmark = pytest.mark.verifies("REQ-TRC-013")

CODE = """
    from thermo.marks import implements

    @implements("REQ-1")
    def celsius(fahrenheit):
        if fahrenheit > 1000:
            return None
        if fahrenheit < -459:
            return None
        return (fahrenheit - 32) * 5 // 9
    """
TEST = """
    import pytest
    from thermo import scale

    @pytest.mark.verifies("REQ-1")
    @pytest.mark.parametrize("degrees", [32, 2000])
    def test_water_freezes(degrees):
        assert scale.celsius(degrees) in (0, None)
    """


def _project(root, test=TEST, code=CODE, settings="", requirement=None):
    wanted = requirement or trace_projects.a_requirement("REQ-1")
    files = {"thermo/scale.py": code, "tests/test_scale.py": test}
    return trace_projects.written(root, files, [wanted], settings)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = _project(tmp_path_factory.mktemp("sound"))
    trace_projects.tested(root)
    return root


@pytest.fixture
def copied(sound, tmp_path):
    """A project whose tests have run, to be changed."""
    for path in sound.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(sound)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


def _check(root, *arguments):
    return cli.main(["trace", "check", "--root", str(root), *arguments])


def _row(root, name="REQ-1"):
    return next(row for row in survey(root).requirements if row.id == name)


@pytest.mark.verifies("REQ-TRC-004")
def test_a_project_of_which_all_is_proved_passes(sound, capsys):
    assert (_check(sound), "trace: passed: 1 requirements" in capsys.readouterr().out) == (0, True)


@pytest.mark.verifies("REQ-TRC-004")
def test_a_finding_closes_the_gate_and_is_shown_with_its_place_and_remedy(copied, capsys):
    (copied / "requirements/more.toml").write_text(
        'format = "medai.requirements/1"\n\n' + trace_projects.a_requirement("REQ-2"), "utf-8"
    )
    code = _check(copied)
    shown = capsys.readouterr().out
    assert (code, "requirements/more.toml:3: without_code: REQ-2: no code cites it\n    mark what" in shown) == (
        1,
        True,
    )


def test_what_could_not_be_checked_is_neither(tmp_path, capsys):
    code = _check(_project(tmp_path))
    assert (code, "medai: evidence_missing: " in capsys.readouterr().err) == (3, True)


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("pyproject.toml", "", "trace_setting_invalid"),
        ("pyproject.toml", "[tool.medai.trace]\nlevels = { A = 9 }\n", "trace_setting_invalid"),
        ("pyproject.toml", "[tool.medai.trace]\nlevel = 1\n", "trace_setting_invalid"),
        ("pyproject.toml", "not toml", "trace_setting_invalid"),
        ("pyproject.toml", '[tool.medai.trace]\ncode = ["nowhere"]\n', "trace_setting_invalid"),
        ("requirements/all.toml", "x = 1\n", "requirement_invalid"),
        ("thermo/scale.py", "def f(:\n", "source_invalid"),
        ("build/trace/results.json", "{}", "evidence_invalid"),
        ("mutants.json", "{}", "evidence_invalid"),
    ],
)
def test_what_cannot_be_read_is_said_by_its_code(copied, capsys, file, text, said):
    (copied / file).write_text(text, "utf-8")
    code = _check(copied)
    assert (code, f"medai: {said}: " in capsys.readouterr().err) == (3, True)


@pytest.mark.verifies("REQ-TRC-004")
def test_a_verdict_is_written_for_programs(sound, tmp_path):
    _check(sound, "--json", str(tmp_path / "out" / "check.json"))
    written = json.loads((tmp_path / "out" / "check.json").read_text("utf-8"))
    assert (written["format"], written["verdict"], written["summary"]["failing"]) == ("medai.check/1", "passed", 0)


def test_an_error_is_written_for_programs_too(tmp_path):
    _check(_project(tmp_path), "--json", str(tmp_path / "check.json"))
    written = json.loads((tmp_path / "check.json").read_text("utf-8"))
    assert (written["verdict"], written["error"].partition(":")[0]) == ("unchecked", "evidence_missing")


@pytest.mark.verifies("REQ-TRC-004")
def test_evidence_may_lie_elsewhere(copied, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "evidence"
    (copied / "build/trace").rename(elsewhere)
    assert _check(copied, "--evidence", str(elsewhere)) == 0


@pytest.mark.verifies("REQ-TRC-004")
def test_a_note_is_shown_where_it_is_asked_for_and_closes_nothing(copied, capsys):
    (copied / "thermo/more.py").write_text("def more():\n    return 1\n", "utf-8")
    assert (_check(copied, "--notes"), "untraced: more is public" in capsys.readouterr().out) == (0, True)


@pytest.mark.verifies("REQ-TRC-004")
def test_a_project_may_count_a_note_as_a_failure(copied):
    settings = copied / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8") + '[tool.medai.trace.severity]\nuntraced = "fail"\n', "utf-8")
    (copied / "thermo/more.py").write_text("def more():\n    return 1\n", "utf-8")
    assert _check(copied) == 1


# ---- evidence that does not hold ----


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize("file", ["thermo/scale.py", "tests/test_scale.py"])
def test_code_or_a_test_that_changed_since_the_run_is_outdated(copied, file):
    path = copied / file
    path.write_text(path.read_text("utf-8") + "\n# a word more\n", "utf-8")
    found = survey(copied)
    assert ("outdated" in trace_projects.codes(found, file), found.requirements[0].verdict == "proved") == (True, False)


@pytest.mark.verifies("REQ-TRC-004")
def test_evidence_of_a_part_of_the_suite_is_a_finding(tmp_path):
    root = _project(tmp_path)
    trace_projects.tested(root, "tests/test_scale.py")
    assert "partial" in trace_projects.codes(survey(root), "build/trace")


def _forget(root, sql):
    with sqlite3.connect(root / "build/trace/coverage.db") as connection:
        connection.execute(sql)
    connection.close()


CONTEXT = "DELETE FROM arc WHERE context_id IN (SELECT id FROM context WHERE context = '{}')"


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize("probe", ["self-check:first|run", "self-check:second|run", "self-check:last|run"])
def test_without_each_context_of_the_self_check_nothing_is_known(copied, probe):
    _forget(copied, CONTEXT.format(probe))
    row = _row(copied)
    assert (row.level, row.verdict, probe in row.why) == (1, "unavailable", True)


def _damaged(root, **changes):
    path = root / "build/trace/results.json"
    results = json.loads(path.read_text("utf-8"))
    results["tracing"].update(changes)
    path.write_text(json.dumps(results), "utf-8")


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize(
    "changes",
    [
        {"core": "SysMonitor"},
        {"core": ""},
        {"probes": []},
        {"probes": ["self-check:first|run"]},
        {"why_not": "no coverage"},
    ],
)
def test_coverage_of_another_core_or_without_a_self_check_is_not_believed(copied, changes):
    _damaged(copied, **changes)
    assert (_row(copied).level, _row(copied).verdict) == (1, "unavailable")


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no database")])
def test_without_coverage_nothing_is_known(copied, damage):
    damage(copied / "build/trace/coverage.db")
    assert (_row(copied).level, _row(copied).verdict) == (1, "unavailable")


@pytest.mark.verifies("REQ-TRC-004")
def test_what_is_not_known_closes_the_gate_as_not_checked(copied):
    (copied / "build/trace/coverage.db").unlink()
    assert _check(copied) == 3


@pytest.mark.verifies("REQ-TRC-004")
def test_a_line_that_ran_outside_of_every_run_phase_proves_nothing(copied):
    _forget(copied, "UPDATE context SET context = replace(context, '|run', '|setup') WHERE context LIKE 'tests%'")
    assert "claim_disproved" in trace_projects.codes(survey(copied), "test_water_freezes")


# ---- thresholds ----


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize(("percent", "level"), [(80, 3), (81, 2)])
def test_branches_are_counted_to_the_threshold_of_the_class(tmp_path, percent, level):
    """Entering the function and three of the four ways out of its conditions: four of five."""
    settings = f"levels = {{ B = 3 }}\nbranches_percent = {{ B = {percent} }}\n"
    row = next(row for row in trace_projects.judged(_project(tmp_path, settings=settings)).requirements)
    assert (row.level, row.demanded) == (level, 3)


@pytest.mark.verifies("REQ-TRC-004")
def test_a_constant_alone_proves_no_more_than_that_the_tests_passed(tmp_path):
    code = "# implements: REQ-1\nLIMIT = 5\n\ndef celsius(degrees):\n    return 0\n"
    row = trace_projects.judged(_project(tmp_path, code=code)).requirements[0]
    assert (row.level, row.verdict) == (1, "failed")


@pytest.mark.verifies("REQ-TRC-004")
def test_a_constant_beside_code_that_runs_keeps_nothing_down(tmp_path):
    code = CODE + "\n    LIMIT = 5  # implements: REQ-1\n"
    row = trace_projects.judged(_project(tmp_path, code=code)).requirements[0]
    assert (row.level, row.verdict) == (2, "proved")


@pytest.mark.verifies("REQ-TRC-004")
def test_a_class_may_demand_nothing_but_links(tmp_path):
    test = TEST.replace("in (0, None)", "== 7")
    root = _project(tmp_path, test=test, settings="levels = { B = 0 }\n")
    assert trace_projects.judged(root).requirements[0].verdict == "proved"


@pytest.mark.verifies("REQ-TRC-004")
def test_a_requirement_that_nothing_cites_is_as_good_as_its_parts(tmp_path):
    both = trace_projects.a_requirement("REQ-0") + "\n" + trace_projects.a_requirement("REQ-1", parent="REQ-0")
    found = trace_projects.judged(_project(tmp_path, requirement=both))
    assert [(row.id, row.verdict, row.level) for row in found.requirements] == [
        ("REQ-0", "proved", 2), ("REQ-1", "proved", 2),
    ]  # fmt: skip


@pytest.mark.verifies("REQ-TRC-004")
def test_a_requirement_that_is_a_part_of_itself_is_found(tmp_path):
    both = (
        trace_projects.a_requirement("REQ-0", parent="REQ-1")
        + "\n"
        + trace_projects.a_requirement("REQ-1", parent="REQ-0")
    )
    assert "cycle" in trace_projects.codes(trace_projects.judged(_project(tmp_path, requirement=both)), "REQ-0")


@pytest.mark.verifies("REQ-TRC-004")
@pytest.mark.parametrize(("safety_class", "verdict"), [("B", "implied"), ("C", "open")])
def test_an_implication_suffices_up_to_the_class_that_the_project_says(tmp_path, safety_class, verdict):
    wanted = trace_projects.a_requirement("REQ-1", safety_class)
    code = "# implication: REQ-1: the type admits nothing else\ndef celsius(degrees):\n    return 0\n"
    root = _project(tmp_path, test="def test_nothing():\n    pass\n", code=code, requirement=wanted)
    assert trace_projects.judged(root).requirements[0].verdict == verdict


@pytest.mark.verifies("REQ-TRC-004")
def test_the_same_inputs_make_the_same_matrix(sound):
    assert survey(sound) == survey(sound)


@pytest.mark.verifies("REQ-TRC-004")
def test_ids_that_are_not_those_of_the_requirements_are_outdated(copied):
    settings = copied / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8") + 'marks = "thermo/marks.py"\n', "utf-8")
    assert "outdated" in trace_projects.codes(survey(copied), "thermo/marks.py")


@pytest.mark.verifies("REQ-TRC-004")
def test_ids_are_made_anew_by_the_command(copied):
    settings = copied / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8") + 'marks = "thermo/ids.py"\n', "utf-8")
    assert (cli.main(["trace", "ids", "--root", str(copied)]), _check(copied)) == (0, 0)
