import hashlib
import json
import os

import pytest

from tests import trace_projects
from traceability import mutant_plan, mutant_records, mutant_runs, project
from traceability.errors import EvidenceInvalid
from traceability.mutant_runs import Baseline
from traceability.mutations import Mutant

CODE = """
    from thermo.marks import implements

    LIMIT = 100

    @implements("REQ-1")
    def clamped(value):
        return LIMIT if value > LIMIT else value
    """
TEST = """
    import pytest
    from thermo import scale

    @pytest.mark.verifies("REQ-1")
    @pytest.mark.parametrize(("given", "found"), [(99, 99), (100, 100), (101, 100)])
    def test_a_value_is_clamped(given, found):
        assert scale.clamped(given) == found
    """
WEAK = """
    import pytest
    from thermo import scale

    @pytest.mark.verifies("REQ-1")
    def test_a_value_is_clamped():
        scale.clamped(99)

    def test_that_would_notice_and_claims_nothing():
        assert [scale.clamped(value) for value in (99, 101)] == [99, 100]
    """
SETTINGS = "mutants_percent = { C = 70 }\n"
REQUIREMENTS = [trace_projects.a_requirement("REQ-1", "C"), trace_projects.a_requirement("REQ-2", "A")]


def _project(root, test=TEST, code=CODE):
    files = {"thermo/scale.py": code, "tests/test_scale.py": test}
    trace_projects.written(root, files, REQUIREMENTS, SETTINGS)
    trace_projects.tested(root)
    return root


def _records(root):
    return json.loads((root / "mutants.json").read_text("utf-8"))["records"]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """A project whose mutants were run, and what the command said."""
    root = _project(tmp_path_factory.mktemp("tried"))
    before = _digest(root)
    said = trace_projects.commanded(root, "mutants")
    return root, before, said


def _digest(root):
    kept = sorted(path for path in root.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in kept)).hexdigest()


def test_the_record_counts_what_was_killed_and_names_what_survived(tried):
    record = _records(tried[0])[0]
    assert (record["killed"] + len(record["survivors"]), record["exhausted"]) == (record["tried"], False)


def test_a_mutant_that_changes_nothing_survives_and_is_named_by_its_line(tried):
    assert _records(tried[0])[0]["survivors"] == ["thermo/scale.py:7: > to >="]


def test_the_work_tree_is_not_touched(tried):
    root, before, _ = tried
    assert _digest(root) == before


def test_the_command_says_what_it_did(tried):
    said = tried[2]
    assert (said.returncode, "REQ-1: thermo/scale.py::clamped: 3 of 4 killed" in said.stdout) == (0, True)


def test_what_is_known_is_not_run_again(tried):
    assert "1 of 1 units are known, 0 are to be run" in trace_projects.commanded(tried[0], "mutants").stdout


def test_two_runs_from_nothing_leave_the_same_record(tried, tmp_path):
    root = _project(tmp_path)
    trace_projects.commanded(root, "mutants")
    assert (root / "mutants.json").read_bytes() == (tried[0] / "mutants.json").read_bytes()


@pytest.mark.verifies("REQ-TRC-006")
def test_killed_mutants_prove_the_requirement_to_the_fourth_level(tried):
    row = next(row for row in trace_projects.judged(tried[0]).requirements if row.id == "REQ-1")
    assert (row.verdict, row.level) == ("proved", 4)


@pytest.mark.verifies("REQ-TRC-006")
def test_a_mutant_that_survived_is_a_note_at_its_line(tried):
    found = trace_projects.judged(tried[0]).findings
    notes = [(note.file, note.line, note.severity) for note in found if note.code == "mutant_survived"]
    assert notes == [("thermo/scale.py", 7, "note")]


@pytest.mark.verifies("REQ-TRC-006")
@pytest.mark.parametrize(
    ("file", "old", "new", "holds"),
    [
        ("thermo/scale.py", "value > LIMIT", "value >= LIMIT", False),
        ("thermo/scale.py", "LIMIT = 100", "LIMIT = 101 - 1", False),
        ("thermo/scale.py", "LIMIT = 100", "LIMIT = 100  # of what", True),
        ("thermo/scale.py", "LIMIT = 100", "OTHER = 7\n    LIMIT = 100", True),
        ("tests/test_scale.py", "(99, 99)", "(98, 98)", False),
        ("tests/test_scale.py", "import pytest", '"""Tests."""\n    import pytest', True),
    ],
)
def test_a_record_holds_as_long_as_code_and_tests_mean_the_same(tried, tmp_path, file, old, new, holds):
    changed = {"thermo/scale.py": CODE, "tests/test_scale.py": TEST}
    changed[file] = changed[file].replace(old, new)
    root = _project(tmp_path, changed["tests/test_scale.py"], changed["thermo/scale.py"])
    (root / "mutants.json").write_bytes((tried[0] / "mutants.json").read_bytes())
    inputs = project.gather(root)
    assert (mutant_plan.moved(inputs, mutant_plan.tasks(inputs)) == []) is holds


@pytest.mark.verifies("REQ-TRC-006")
def test_a_record_that_holds_no_more_proves_nothing(tried, tmp_path):
    root = _project(tmp_path, code=CODE.replace("value > LIMIT", "value >= LIMIT"))
    (root / "mutants.json").write_bytes((tried[0] / "mutants.json").read_bytes())
    row = next(row for row in trace_projects.judged(root).requirements if row.id == "REQ-1")
    assert (row.verdict, row.level) == ("failed", 3)


def test_code_below_a_folder_of_sources_is_changed_in_the_copy(tmp_path):
    root = _project(tmp_path)
    (root / "src").mkdir()
    (root / "thermo").rename(root / "src" / "thermo")
    pyproject = (root / "pyproject.toml").read_text("utf-8")
    moved = pyproject.replace('code = ["thermo"]', 'code = ["src"]').replace('pythonpath = ["."]', "")
    (root / "pyproject.toml").write_text(moved.replace("plugin --strict", "plugin -p src_path --strict"), "utf-8")
    (root / "src_path.py").write_text("import sys\n\nsys.path.append('src')\n", "utf-8")
    trace_projects.run(["-m", "pytest", "-q", "--evidence"], root)
    trace_projects.commanded(root, "mutants")
    assert _records(root)[0]["survivors"] == ["src/thermo/scale.py:7: > to >="]


def test_only_the_claiming_tests_are_run(tmp_path):
    root = _project(tmp_path, WEAK)
    trace_projects.commanded(root, "mutants")
    assert _records(root)[0]["killed"] == 0


@pytest.mark.verifies("REQ-TRC-006")
def test_a_mutant_that_hangs_is_killed(tried, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(trace_projects.REPOSITORY))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(mutant_runs, "_GRACE_S", 0.5)
    source = (tried[0] / "thermo/scale.py").read_bytes()
    place = source.index(b"return LIMIT if")
    hanging = Mutant(line=7, what="hangs", start=place, end=place, text="while True: pass\n    ")
    with mutant_runs.opened(tried[0], project.settings_of(tried[0])) as workshop:
        known = workshop.baseline(["tests/test_scale.py::test_a_value_is_clamped"], 1)
        assert workshop.fate("thermo/scale.py", hanging, known) == "killed"


def test_tests_that_do_not_pass_in_a_copy_stop_the_mutants_and_say_so(tmp_path):
    test = TEST.replace("assert scale", f"assert __file__.startswith({str(tmp_path)!r}); assert scale")
    root = _project(tmp_path, test)
    said = trace_projects.commanded(root, "mutants")
    assert (said.returncode, "do not pass in a copy" in said.stdout) == (3, True)


def test_a_requirement_whose_tests_do_not_pass_is_not_run(tmp_path):
    root = _project(tmp_path, TEST.replace("(99, 99)", "(99, 0)"))
    said = trace_projects.commanded(root, "mutants")
    assert (said.returncode, "not run: REQ-1: thermo/scale.py::clamped" in said.stdout) == (3, True)


ONCE = """
    import pytest
    from thermo import scale

    @pytest.mark.verifies("REQ-1")
    def test_a_value_is_clamped(request):
        left = request.config.rootpath / "left"
        assert len(left.read_text()) < 4 if left.exists() else True
        with left.open("a") as file:
            file.write("x")
        scale.clamped(99)
    """


def test_tests_that_pass_a_few_times_only_kill_nothing(tmp_path):
    root = _project(tmp_path, ONCE)
    said = trace_projects.commanded(root, "mutants")
    assert (said.returncode, "do not after them, on the same code" in said.stdout, _records(root)) == (3, True, [])


FIRST = """
    import sys
    import pytest
    ALREADY = "markupsafe" in sys.modules
    import markupsafe
    from thermo import scale

    @pytest.mark.verifies("REQ-1")
    def test_a_value_is_clamped():
        assert not ALREADY
        scale.clamped(99)
    """


def test_what_is_loaded_to_be_quick_kills_nothing(tmp_path):
    root = _project(tmp_path, FIRST)
    said = trace_projects.commanded(root, "mutants")
    assert (said.returncode, _records(root)[0]["killed"], _records(root)[0]["tried"]) == (0, 0, 4)


def test_what_a_test_leaves_running_is_ended(tmp_path):
    test = f"""
        import subprocess
        import sys
        import pytest
        from thermo import scale

        @pytest.mark.verifies("REQ-1")
        def test_a_value_is_clamped():
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            with open({str(tmp_path / "left")!r}, "a") as file:
                print(left.pid, file=file)
            assert scale.clamped(101) == 100
        """
    files = {"thermo/scale.py": CODE, "tests/test_scale.py": test}
    trace_projects.written(tmp_path, files, REQUIREMENTS)
    trace_projects.tested(tmp_path)
    _end((tmp_path / "left").read_text("utf-8").split())
    (tmp_path / "left").unlink()
    trace_projects.commanded(tmp_path, "mutants")
    assert [pid for pid in (tmp_path / "left").read_text("utf-8").split() if os.path.exists(f"/proc/{pid}")] == []


def _end(processes):
    for process in processes:
        os.kill(int(process), 9)


class _Workshop:
    """One in which nothing is run: every mutant has the fate that it was made with."""

    def __init__(self, fate):
        self._fate = fate

    def baseline(self, tests, seed):
        return Baseline(arguments=tuple(tests), seconds=0.0)

    def fate(self, file, mutant, known):
        return self._fate

    def confirm(self, known):
        pass


@pytest.mark.verifies("REQ-TRC-006")
def test_a_time_that_is_used_up_is_in_the_record(tried, monkeypatch):
    inputs = project.gather(tried[0])
    now = iter(range(0, 10_000, 60))
    monkeypatch.setattr("traceability.mutant_plan.time.monotonic", lambda: next(now))
    record = next(mutant_plan.run(_Workshop("killed"), tried[0], inputs, mutant_plan.tasks(inputs)))
    assert (record.exhausted, record.tried < record.total) == (True, True)


@pytest.mark.verifies("REQ-TRC-006")
def test_a_mutant_that_cannot_be_collected_counts_as_none(tried):
    inputs = project.gather(tried[0])
    record = next(mutant_plan.run(_Workshop("stillborn"), tried[0], inputs, mutant_plan.tasks(inputs)))
    assert (record.total, record.tried, record.killed) == (0, 0, 0)


@pytest.mark.verifies("REQ-TRC-006")
def test_records_are_written_one_to_a_line_and_read_back(tried):
    body = (tried[0] / "mutants.json").read_bytes()
    assert mutant_records.encode(mutant_records.decode(body, "mutants.json").records) == body


@pytest.mark.verifies("REQ-TRC-006")
@pytest.mark.parametrize("body", [b"", b"{}", b'{"format": "medai.mutants/9", "records": []}'])
def test_what_are_no_records_of_mutants_is_refused(body):
    with pytest.raises(EvidenceInvalid):
        mutant_records.decode(body, "mutants.json")


def test_a_requirement_that_is_left_over_when_the_time_is_up_is_named_and_not_run(tmp_path):
    said = trace_projects.commanded(_project(tmp_path), "mutants", "--within", "0")
    assert (said.returncode, "not run: REQ-1: the time of this command was up" in said.stdout) == (3, True)
