import io
import re
import tokenize

import pytest

# Written in parts, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.}])/(?:work|root|Users|opt)" + r"/\w|(?<![\w.}])/home" + r"/\w")
REGISTRIES = re.compile(
    r"(?:pypi|pythonhosted|npmjs|yarnpkg|crates)" + r"\.(?:org|com|io)|(?:deb|security)" + r"\.debian\.org"
)
INDEX_OPTIONS = re.compile(r"(?:index-url|find-links|find_links)[ =]+\S*[:/]")
EXEMPTION = re.compile(
    r"#\s*(?:noqa\b(?::\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?|type:\s*ignore(?:\[[^\]]*\])?"
    r"|nosec\b(?:\s+B\d+(?:[,\s]+B\d+)*)?|pragma:\s*no cover)(?P<reason>.*)"
)


def _found(pattern, text_files, repository):
    return [
        f"{path.relative_to(repository)}:{number}: {match.group()}"
        for path in text_files
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, REGISTRIES, INDEX_OPTIONS], ids=["machine_path", "registry", "index_option"]
)
def test_no_file_names_a_machine_or_a_package_index(pattern, text_files, repository):
    assert _found(pattern, text_files, repository) == []


def test_every_exemption_from_a_check_has_its_reason_on_its_line(python_files, repository):
    bare = []
    for path in python_files:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
            match = EXEMPTION.search(token.string) if token.type == tokenize.COMMENT else None
            if match and len(re.findall(r"[A-Za-z]{2,}", match["reason"])) < 2:
                bare.append(f"{path.relative_to(repository)}:{token.start[0]}: {token.string}")
    assert bare == []


def test_no_text_file_has_white_space_at_the_end_of_a_line(text_files, repository):
    ours = [path for path in text_files if path.suffix in {".py", ".md", ".toml", ".sql"} or path.name == "Makefile"]
    assert _found(re.compile(r"[ \t]+$"), ours, repository) == []
