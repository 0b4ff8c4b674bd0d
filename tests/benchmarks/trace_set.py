"""A project with as many requirements, marked functions and claiming tests as are asked for, to measure with.

The same set is written twice: in our marks, and in StrictDoc's. Its evidence is either that of a real test run, or, for
a set that is too large to be run for a benchmark, written as such a run would leave it.
"""

import hashlib
from pathlib import Path

from coverage import CoverageData

from traceability import results
from traceability.results import CORE_CLASS, COVERAGE, RESULTS, RUN_PHASE, Node, Results, Tracing

PER_FILE = 20
PROBE = "build/trace/probe.py"
PROBES = tuple(f"self-check:{name}{RUN_PHASE}" for name in ("first", "second", "last"))
FUNCTION_LINES = 9
"""How many lines a function of the set takes, with its mark and the empty lines before it."""
HEAD_LINES = 5


def ours(root: Path, count: int) -> None:
    """`count` requirements, each implemented by one function and claimed by one test, twenty to a file."""
    texts = {
        "pyproject.toml": _PYPROJECT,
        "product/__init__.py": "",
        "product/marks.py": "def implements(*names):\n    return lambda marked: marked\n",
    }
    for part, numbers in _parts(count):
        texts[f"requirements/part_{part}.toml"] = _FORMAT + "".join(_REQUIREMENT.format(n=n) for n in numbers)
        texts[f"product/part_{part}.py"] = _CODE_HEAD + "".join(_FUNCTION.format(n=n) for n in numbers)
        texts[f"tests/test_part_{part}.py"] = _TEST_HEAD.format(part=part) + "".join(_TEST.format(n=n) for n in numbers)
    _write(root, texts)


def strictdocs(root: Path, count: int) -> None:
    """The same, as StrictDoc reads it."""
    texts = {"strictdoc_config.py": _STRICTDOC}
    for part, numbers in _parts(count):
        texts[f"docs/part_{part}.sdoc"] = _SDOC_HEAD.format(part=part) + "".join(_SDOC.format(n=n) for n in numbers)
        texts[f"product/part_{part}.py"] = _PLAIN_HEAD + "".join(_RELATED.format(n=n) for n in numbers)
        texts[f"tests/test_part_{part}.py"] = _RELATED_HEAD.format(part=part) + "".join(
            _RELATED_TEST.format(n=n) for n in numbers
        )
    _write(root, texts)


def evidence(root: Path, count: int) -> None:
    """What a run of all tests of `ours` would leave."""
    folder = root / "build" / "trace"
    folder.mkdir(parents=True, exist_ok=True)
    data = CoverageData(basename=str(folder / COVERAGE))
    nodes = []
    for part, numbers in _parts(count):
        file = str(root / f"product/part_{part}.py")
        for place, number in enumerate(numbers):
            name = f"test_value_{number}_is_at_most_the_limit"
            node = f"tests/test_part_{part}.py::{name}"
            first = HEAD_LINES + place * FUNCTION_LINES + 3  # the line of the decorator
            steps = [(-first, first + 3), (first + 3, first + 4), (first + 4, -first), (first + 3, first + 5),
                     (first + 5, first + 6), (first + 6, -first)]  # fmt: skip
            data.set_context(node + RUN_PHASE)
            data.add_arcs({file: steps})
            nodes.append(
                Node(
                    node=node, file=f"tests/test_part_{part}.py", name=name, line=1, outcome="passed", duration_us=1000,
                    verifies=(f"REQ-{number:05}",), traced=True,
                )
            )  # fmt: skip
    for probe in PROBES:
        data.set_context(probe)
        data.add_arcs({str(root / PROBE): [(-1, 2), (2, -1)]})
    data.close()
    files = [path for folder_name in ("product", "tests") for path in sorted((root / folder_name).glob("*.py"))]
    run = Results(
        root=str(root), started_at="2026-01-01T00:00:00Z", duration_us=1, complete=True, exit_code=0, environment={},
        tracing=Tracing(core=CORE_CLASS, version="", probe=PROBE, probe_line=2, probes=PROBES),
        files={path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        nodes=tuple(nodes),
    )  # fmt: skip
    (folder / RESULTS).write_bytes(results.encode(run))


def _parts(count: int) -> list[tuple[str, range]]:
    return [
        (f"{start // PER_FILE:04}", range(start, min(start + PER_FILE, count))) for start in range(0, count, PER_FILE)
    ]


def _write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


_PYPROJECT = """\
[project]
name = "measured"

[tool.pytest.ini_options]
addopts = "-p traceability.plugin -p no:cacheprovider"
pythonpath = ["."]

[tool.medai.trace]
requirements = ["requirements"]
code = ["product"]
"""
_FORMAT = 'format = "medai.requirements/1"\n'
_REQUIREMENT = """
[[requirement]]
id = "REQ-{n:05}"
title = "Value {n}"
text = "The product shall clamp value {n} to its limit."
criterion = "A value above the limit comes back as the limit."
type = "functional"
safety_class = "B"
verification = "test"
sources = [{{ need = "somebody needs it" }}]
"""
_CODE_HEAD = '"""Functions that cite requirements."""\n\nfrom product.marks import implements\n\nLIMIT = 100\n'
_FUNCTION = '''

@implements("REQ-{n:05}")
def value_{n}(given):
    """The value, at most the limit."""
    if given > LIMIT:
        return LIMIT
    doubled = given * 2
    return doubled // 2 + {n} - {n}
'''
_TEST_HEAD = '"""Tests that claim requirements."""\n\nimport pytest\n\nfrom product import part_{part} as part\n'
_TEST = """

@pytest.mark.verifies("REQ-{n:05}")
def test_value_{n}_is_at_most_the_limit():
    assert part.value_{n}(101) == 100
    assert part.value_{n}(7) == 7
"""
_STRICTDOC = """\
from strictdoc.core.project_config import ProjectConfig


def create_config() -> ProjectConfig:
    return ProjectConfig(
        project_title="measured",
        project_features=["REQUIREMENT_TO_SOURCE_TRACEABILITY", "SOURCE_FILE_LANGUAGE_PARSERS"],
        include_doc_paths=["docs/**"],
        include_source_paths=["product/**", "tests/**"],
    )
"""
_SDOC_HEAD = "[DOCUMENT]\nTITLE: Part {part}\n"
_SDOC = """
[REQUIREMENT]
UID: REQ-{n:05}
TITLE: Value {n}
STATEMENT: The product shall clamp value {n} to its limit.
"""
_PLAIN_HEAD = '"""Functions that cite requirements."""\n\nLIMIT = 100\n'
_RELATED = '''

def value_{n}(given):
    """The value, at most the limit.

    @relation(REQ-{n:05}, scope=function)
    """
    if given > LIMIT:
        return LIMIT
    doubled = given * 2
    return doubled // 2 + {n} - {n}
'''
_RELATED_HEAD = '"""Tests that claim requirements."""\n\nfrom product import part_{part} as part\n'
_RELATED_TEST = '''

def test_value_{n}_is_at_most_the_limit():
    """It is clamped.

    @relation(REQ-{n:05}, scope=function)
    """
    assert part.value_{n}(101) == 100
    assert part.value_{n}(7) == 7
'''
