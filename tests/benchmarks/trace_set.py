"""A project with as many requirements, marked functions and claiming tests as are asked for, to measure with."""

from pathlib import Path

PER_FILE = 20


def make(root: Path, count: int) -> None:
    """`count` requirements, each implemented by one function and claimed by one test, twenty to a file."""
    texts = {
        "pyproject.toml": _PYPROJECT,
        "product/__init__.py": "",
        "product/marks.py": "def implements(*names):\n    return lambda marked: marked\n",
    }
    for start in range(0, count, PER_FILE):
        numbers = range(start, min(start + PER_FILE, count))
        part = f"{start // PER_FILE:04}"
        texts[f"requirements/part_{part}.toml"] = _REQUIREMENTS_HEAD + "".join(map(_requirement, numbers))
        texts[f"product/part_{part}.py"] = _CODE_HEAD + "".join(map(_function, numbers))
        texts[f"tests/test_part_{part}.py"] = _TEST_HEAD.format(part=part) + "".join(map(_test, numbers))
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
levels = { A = 2, B = 2, C = 3 }
"""
_REQUIREMENTS_HEAD = 'format = "medai.requirements/1"\n\n'
_CODE_HEAD = '"""Functions that cite requirements."""\n\nfrom product.marks import implements\n\nLIMIT = 100\n'
_TEST_HEAD = '"""Tests that claim requirements."""\n\nimport pytest\n\nfrom product import part_{part} as part\n'


def _requirement(number: int) -> str:
    return (
        f'[[requirement]]\nid = "REQ-{number:05}"\ntitle = "Value {number}"\n'
        f'text = "The product shall clamp value {number} to its limit."\n'
        'criterion = "A value above the limit comes back as the limit."\ntype = "functional"\nsafety_class = "B"\n'
        'verification = "test"\nsources = [{ need = "somebody needs it" }]\n\n'
    )


def _function(number: int) -> str:
    return (
        f'\n\n@implements("REQ-{number:05}")\ndef value_{number}(given):\n    """The value, at most the limit."""\n'
        "    if given > LIMIT:\n        return LIMIT\n    doubled = given * 2\n"
        f"    return doubled // 2 + {number} - {number}\n"
    )


def _test(number: int) -> str:
    return (
        f'\n\n@pytest.mark.verifies("REQ-{number:05}")\ndef test_value_{number}_is_at_most_the_limit():\n'
        f"    assert part.value_{number}(101) == 100\n    assert part.value_{number}(7) == 7\n"
    )
