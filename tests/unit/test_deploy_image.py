"""The image's description, read without building it: tests/system/test_system_image.py builds and starts it."""

import json
import re

import pytest


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "Dockerfile").read_text("utf-8")


@pytest.fixture(scope="module")
def steps(text):
    """Instruction and words of each step, continued lines joined, comments gone."""
    plain = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in plain.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def last_stage(steps):
    return steps[max(at for at, step in enumerate(steps) if step[0] == "FROM") :]


def test_there_is_no_default_base(steps):
    assert steps[0] == ("ARG", "BASE_IMAGE")
    assert {words.split()[0] for name, words in steps if name == "FROM"} == {"${BASE_IMAGE}"}


def test_every_package_is_held_to_its_hash(text):
    installs = re.findall(r"pip install (.*?)(?:\\\n|&&|\n)", text)
    assert [each for each in installs if "--require-hashes" not in each and "--no-index" not in each] == []


def test_it_runs_as_its_own_user(last_stage):
    assert [words for name, words in last_stage if name == "USER"] == ["10001:10001"]


def test_it_begins_without_a_shell(last_stage):
    begins = {name: json.loads(words) for name, words in last_stage if name in ("ENTRYPOINT", "CMD")}
    assert begins == {"ENTRYPOINT": ["medai"], "CMD": ["serve", "--host", "0.0.0.0"]}


def test_nothing_runs_after_the_shell_is_gone(last_stage):
    runs = [words for name, words in last_stage if name == "RUN"]
    assert len(runs) == 1
    assert runs[0].endswith("rm -f /bin/bash /bin/rbash /bin/dash /bin/sh")


def test_it_says_what_it_is_and_of_which_commit_and_base(last_stage):
    (labels,) = [words for name, words in last_stage if name == "LABEL"]
    named = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", labels))
    assert named == {"title", "description", "revision", "version", "base.name"}


def test_it_needs_no_newer_builder_than_buildah(text):
    assert [word for word in ("--link", "--mount=", "# syntax", "<<") if word in text] == []


def test_no_address_certificate_or_setting_of_a_machine_is_in_it(text):
    assert re.findall(r"https?://|index-url|trusted-host|find-links|PIP_CERT|SSL_CERT|proxy", text) == []


def test_what_is_no_part_of_it_never_reaches_the_builder(repository):
    lines = [
        line for line in (repository / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")
    ]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        "service", "audit", "sbom", "traceability", "migrations", "pyproject.toml", "requirements.lock",
        "requirements-demo.lock",
    }  # fmt: skip
