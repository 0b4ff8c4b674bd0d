import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests import trace_projects
from traceability.survey import survey

CODE = """
    from thermo.marks import implements

    @implements("REQ-1")
    def celsius(fahrenheit):
        return (fahrenheit - 32) * 5 // 9
    """
REQUIREMENTS = [
    trace_projects.a_requirement("REQ-1"),
    trace_projects.a_requirement("REQ-OLD-1", status="retired"),
]


def _project(root, test, code=CODE, settings="", **files):
    texts = {"thermo/scale.py": code, "tests/test_scale.py": test, **files}
    return trace_projects.written(root, texts, REQUIREMENTS, settings)


def _claim(mark, body="assert True"):
    return f"""
    import pytest
    from thermo import scale

    {mark}
    def test_it():
        {body}
    """


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('@pytest.mark.verifies("REQ-2")', "there is no requirement 'REQ-2'"),
        ('@pytest.mark.verifies("REQ-OLD-1")', "REQ-OLD-1 is retired"),
        ("@pytest.mark.verifies()", "takes ids of requirements and nothing else"),
        ("@pytest.mark.verifies(1)", "takes ids of requirements and nothing else"),
        ('@pytest.mark.verifies("REQ-1", why="because")', "takes ids of requirements and nothing else"),
    ],
)
def test_a_claim_that_cannot_be_true_is_a_usage_error(tmp_path, mark, said):
    finished = trace_projects.tested(_project(tmp_path, _claim(mark)))
    assert (finished.returncode, said in finished.stdout + finished.stderr) == (4, True)


def test_a_claim_that_cannot_be_true_is_an_error_without_evidence_too(tmp_path):
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-2")'))
    finished = trace_projects.run(["-m", "pytest", "-q"], root)
    assert finished.returncode == 4


def test_bad_requirements_stop_the_run_and_say_where(tmp_path):
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")'), **{"requirements/bad.toml": "x = 1\n"})
    finished = trace_projects.tested(root)
    assert (finished.returncode, "requirements/bad.toml:1" in finished.stderr) == (4, True)


def test_the_mark_is_known_where_nothing_is_traced(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--strict-markers'\n", "utf-8")
    (tmp_path / "test_it.py").write_text(
        'import pytest\n\n@pytest.mark.verifies("anything")\ndef test_it():\n    pass\n', "utf-8"
    )
    assert trace_projects.run(["-m", "pytest", "-q", "-p", "traceability.plugin"], tmp_path).returncode == 0


def test_evidence_of_a_project_that_traces_nothing_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    finished = trace_projects.run(["-m", "pytest", "-q", "-p", "traceability.plugin", "--evidence"], tmp_path)
    assert (finished.returncode, "[tool.medai.trace]" in finished.stderr) == (4, True)


def test_a_place_that_is_not_there_stops_the_run(tmp_path):
    settings = 'tests = ["tests", "more_tests"]\n'
    finished = trace_projects.tested(_project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")'), settings=settings))
    assert (finished.returncode, "'more_tests', which is not there" in finished.stderr) == (4, True)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """What a run of several outcomes leaves."""
    root = _project(
        tmp_path_factory.mktemp("outcomes"),
        """
        import pytest
        from thermo import scale

        @pytest.mark.verifies("REQ-1")
        def test_it_passes():
            assert scale.celsius(32) == 0

        @pytest.mark.parametrize("degrees", [32, 212])
        @pytest.mark.verifies("REQ-1")
        def test_with_parameters(degrees):
            assert scale.celsius(degrees) in (0, 100)

        @pytest.mark.skip(reason="no probe")
        @pytest.mark.verifies("REQ-1")
        def test_it_is_skipped():
            pass

        def test_it_claims_nothing():
            assert scale.celsius(32) == 0
        """,
    )
    trace_projects.tested(root)
    return root / "build" / "trace"


@pytest.fixture
def results(evidence):
    return json.loads((evidence / "results.json").read_text("utf-8"))


def _nodes(results):
    return {node["node"].partition("::")[2]: node for node in results["nodes"]}


def test_every_test_is_in_the_results_with_its_outcome(results):
    assert {name: node["outcome"] for name, node in _nodes(results).items()} == {
        "test_it_passes": "passed", "test_with_parameters[32]": "passed", "test_with_parameters[212]": "passed",
        "test_it_is_skipped": "skipped", "test_it_claims_nothing": "passed",
    }  # fmt: skip


def test_the_results_say_why_a_test_was_skipped(results):
    assert "no probe" in _nodes(results)["test_it_is_skipped"]["reason"]


def test_the_results_say_what_each_test_claims(results):
    assert _nodes(results)["test_with_parameters[212]"]["verifies"] == ["REQ-1"]


def test_the_results_say_which_versions_were_there(results):
    assert {"python", "platform", "package:pytest", "package:coverage"} <= set(results["environment"])


def test_the_results_say_that_coverage_ran_with_the_core_that_sees_contexts(results):
    assert results["tracing"]["core"] == "CTracer"


def test_the_results_hold_the_digest_of_every_file(results):
    assert set(results["files"]) == {
        "tests/test_scale.py", "thermo/__init__.py", "thermo/marks.py", "thermo/scale.py",
    }  # fmt: skip


def test_a_run_of_everything_is_complete(results):
    assert results["complete"] is True


def test_the_claims_are_properties_in_the_junit_file(evidence):
    cases = ElementTree.parse(evidence / "junit.xml").iter("testcase")
    found = {
        case.get("name"): [entry.get("value") for entry in case.iter("property") if entry.get("name") == "verifies"]
        for case in cases
    }
    assert found["test_with_parameters[32]"] == ["REQ-1"]


@pytest.mark.parametrize(
    "selection", [["-k", "it"], ["tests/test_scale.py"], ["--deselect", "tests/test_scale.py::test_it"]]
)
def test_a_run_of_a_part_is_not_complete(tmp_path, selection):
    other = "def test_something_else():\n    pass\n"
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")'), **{"tests/test_other.py": other})
    trace_projects.tested(root, *selection)
    assert json.loads((root / "build/trace/results.json").read_text("utf-8"))["complete"] is False


def test_a_run_that_was_broken_off_is_not_complete(tmp_path):
    body = "raise KeyboardInterrupt"
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', body))
    trace_projects.tested(root)
    assert json.loads((root / "build/trace/results.json").read_text("utf-8"))["complete"] is False


def _level(root):
    found = trace_projects.judged(root)
    return [link.level for link in found.links if link.kind == "test"]


def test_what_a_thread_of_the_test_runs_is_run_by_the_test(tmp_path):
    body = """
        import threading
        thread = threading.Thread(target=scale.celsius, args=(32,))
        thread.start()
        thread.join()
        """
    assert _level(_project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', body.strip()))) == [2]


def test_what_a_thread_runs_that_a_fixture_started_is_run_by_the_test_that_asks_it(tmp_path):
    test = """
        import queue
        import threading
        import pytest
        from thermo import scale

        @pytest.fixture(scope="module")
        def server():
            asked, answered = queue.Queue(), queue.Queue()

            def serve():
                while (degrees := asked.get()) is not None:
                    answered.put(scale.celsius(degrees))

            thread = threading.Thread(target=serve)
            thread.start()
            yield asked, answered
            asked.put(None)
            thread.join()

        def test_it_claims_nothing(server):
            pass

        @pytest.mark.verifies("REQ-1")
        def test_the_server_answers(server):
            server[0].put(32)
            assert server[1].get() == 0
        """
    assert _level(_project(tmp_path, test)) == [2]


CHILD = (
    "import subprocess, sys; "
    "subprocess.run([sys.executable, '-c', 'from thermo import scale; scale.celsius(32)'], check=True)"
)


def test_what_a_process_of_the_test_runs_is_run_by_the_test(tmp_path):
    assert _level(_project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', CHILD))) == [2]


def test_what_a_process_of_the_test_runs_does_not_count_where_the_project_says_so(tmp_path):
    settings = "child_processes = false\n"
    assert _level(_project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', CHILD), settings=settings)) == [1]


def test_what_a_process_runs_that_a_fixture_started_is_nobodys(tmp_path):
    test = f"""
        import pytest

        @pytest.fixture
        def started():
            {CHILD}

        @pytest.mark.verifies("REQ-1")
        def test_it(started):
            pass
        """
    assert _level(_project(tmp_path, test)) == [1]


def test_a_test_that_changes_the_folder_is_traced_like_any_other(tmp_path):
    body = "import os, tempfile; os.chdir(tempfile.gettempdir()); assert scale.celsius(32) == 0"
    assert _level(_project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', body))) == [2]


def test_the_next_test_is_traced_where_one_took_the_trace_function_away(tmp_path):
    test = """
        import sys
        import pytest
        from thermo import scale

        @pytest.mark.verifies("REQ-1")
        def test_that_traces_for_itself():
            scale.celsius(1)
            sys.settrace(None)

        @pytest.mark.verifies("REQ-1")
        def test_that_comes_after_it():
            assert scale.celsius(32) == 0
        """
    assert _level(_project(tmp_path, test)) == [2, 2]


def test_a_test_that_is_inherited_claims_for_each_class(tmp_path):
    test = """
        import pytest
        from thermo import scale

        class Contract:
            @pytest.mark.verifies("REQ-1")
            def test_water_freezes(self):
                assert scale.celsius(self.freezing) == 0

        class TestFahrenheit(Contract):
            freezing = 32

        class TestOther(Contract):
            freezing = 33
        """
    found = trace_projects.judged(_project(tmp_path, test))
    assert [(row.name, len(row.nodes)) for row in found.tests] == [("Contract.test_water_freezes", 2)]


def test_no_results_are_left_of_an_earlier_run_where_the_last_one_was_killed(tmp_path):
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', "import os; os._exit(9)"))
    (root / "build/trace").mkdir(parents=True)
    (root / "build/trace/results.json").write_text("{}", "utf-8")
    trace_projects.tested(root)
    assert not (root / "build/trace/results.json").exists()


def test_a_file_that_is_written_to_during_the_run_has_no_digest(tmp_path):
    body = "open(scale.__file__, 'a').write('# more')"
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', body))
    trace_projects.tested(root)
    results = json.loads((root / "build/trace/results.json").read_text("utf-8"))
    assert (results["files"]["thermo/scale.py"], survey(root).evidence.complete) == ("", True)


def test_sub_tests_are_parts_of_one_attempt(tmp_path):
    test = """
        import pytest
        from thermo import scale

        @pytest.mark.verifies("REQ-1")
        def test_degrees(subtests):
            for degrees in (32, 212):
                with subtests.test(degrees=degrees):
                    assert scale.celsius(degrees) in (0, 100)
        """
    assert _level(_project(tmp_path, test)) == [2]


def test_a_sub_test_that_fails_is_a_test_that_fails(tmp_path):
    test = """
        import pytest
        from thermo import scale

        @pytest.mark.verifies("REQ-1")
        def test_degrees(subtests):
            for degrees in (32, 212):
                with subtests.test(degrees=degrees):
                    assert scale.celsius(degrees) == 0
        """
    assert _level(_project(tmp_path, test)) == [0]


def test_code_below_a_folder_of_sources_is_traced(tmp_path):
    settings = 'code = ["src"]\n'
    root = _project(tmp_path, _claim('@pytest.mark.verifies("REQ-1")', "assert scale.celsius(32) == 0"))
    (root / "src").mkdir()
    (root / "thermo").rename(root / "src" / "thermo")
    pyproject = (root / "pyproject.toml").read_text("utf-8")
    moved = pyproject.replace('code = ["thermo"]', settings).replace('pythonpath = ["."]', 'pythonpath = ["src"]')
    (root / "pyproject.toml").write_text(moved, "utf-8")
    assert _level(root) == [2]
