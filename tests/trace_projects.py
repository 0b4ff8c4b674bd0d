"""Small Python projects that are none of ours, made in a folder, tested with the plugin, and judged."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from traceability.survey import survey

REPOSITORY = Path(__file__).resolve().parent.parent
PYPROJECT = """
    [project]
    name = "thermo"

    [tool.pytest.ini_options]
    addopts = "-p traceability.plugin --strict-markers"
    pythonpath = ["."]

    [tool.medai.trace]
    requirements = ["requirements"]
    code = ["thermo"]
    mutants = "mutants.json"
    """
MARKS = """
    def implements(*names):
        return lambda marked: marked
    """


def a_requirement(name, safety_class="B", **more):
    members = {
        "id": name, "title": f"The title of {name}", "text": f"The thermometer shall do what {name} says.",
        "criterion": "It does.", "type": "functional", "safety_class": safety_class, "verification": "test", **more,
    }  # fmt: skip
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in members.items()]
    return "\n".join(["[[requirement]]", *lines, 'sources = [{ need = "somebody needs it" }]', ""])


def written(root, files, requirements, settings=""):
    """The project at `root`: `files` by their paths, its requirements, and more settings."""
    texts = {
        "pyproject.toml": dedent(PYPROJECT) + dedent(settings),
        "thermo/__init__.py": '"""A thermometer."""\n',
        "thermo/marks.py": dedent(MARKS),
        "requirements/all.toml": 'format = "medai.requirements/1"\n\n' + "\n".join(requirements),
        **{name: dedent(text) for name, text in files.items()},
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), "utf-8")
    return root


def environment():
    """This process's, without the coverage of whoever measures it, and without plugins that those projects have not."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run(arguments, folder):
    """Python with these arguments; the finished process."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)


def tested(root, *arguments):
    """Run the project's tests with the plugin; the finished process."""
    return run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--evidence", *arguments], root)


def commanded(root, name, *arguments):
    """Run `medai trace NAME` for the project; the finished process."""
    modules = {"mutants": "cli_mutants"}
    code = f"import sys; from traceability import {modules.get(name, 'cli')} as cli; sys.exit(cli.{name}(sys.argv[1:]))"
    return run(["-c", code, "--root", str(root), *arguments], root)


def judged(root):
    """The matrix of the project, after its tests were run."""
    finished = tested(root)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    return survey(root)


def codes(found, subject):
    """The findings about what `subject` is a part of, without mere notes."""
    return sorted(
        {
            finding.code
            for finding in found.findings
            if subject in f"{finding.subject} {finding.text}" and finding.severity == "fail"
        }
    )
