import pytest

from tests import trace_projects
from traceability import requirements
from traceability.errors import RequirementInvalid

pytestmark = pytest.mark.verifies("REQ-TRC-001")

HEAD = 'format = "medai.requirements/1"\n\n'
ONE = HEAD + trace_projects.a_requirement("REQ-1")
HAZARD = """
[[hazard]]
id = "HAZ-1"
title = "A wrong value"
hazard = "It is believed."
cause = "Nobody looked."
harm = "Somebody is treated wrongly."
controls = ["REQ-1"]
"""


def _faults(text):
    with pytest.raises(RequirementInvalid) as raised:
        requirements.parse(text, "requirements/all.toml")
    return str(raised.value).splitlines()


def _line(text, member):
    return 1 + next(number for number, line in enumerate(text.splitlines()) if line.startswith(member))


def test_a_requirement_is_read_with_the_line_it_stands_on():
    read = requirements.parse(ONE, "all.toml").requirements[0]
    assert (read.id, read.file, read.line) == ("REQ-1", "all.toml", 3)


def test_a_hazard_is_read_with_its_controls():
    assert requirements.parse(ONE + HAZARD, "all.toml").hazards[0].controls == ("REQ-1",)


def test_a_catalogue_of_sources_is_read():
    text = HEAD + '[[source]]\nid = "11.10(e)"\nkind = "clause"\ntitle = "Trails"\ndocument = "Part 11"\n'
    assert requirements.parse(text, "all.toml").origins[0].id == "11.10(e)"


def test_a_source_says_of_which_kind_it_is():
    read = requirements.parse(ONE, "all.toml").requirements[0].sources[0]
    assert (read.kind, read.text) == ("need", "somebody needs it")


@pytest.mark.parametrize(
    ("member", "instead", "remedy"),
    [
        ("safety_class", 'safety_class = "D"', 'safety_class = "A", "B" or "C"'),
        ("verification", 'verification = "belief"', "inspection"),
        ("type", 'type = "nice"', "functional"),
        ("id", 'id = "1 2"', 'id = "REQ-LED-001"'),
        ("text", 'text = "It does what it should."', 'one sentence with "shall"'),
        ("sources", "sources = []", "where it comes from"),
        ("sources", 'sources = [{ need = "a", clause = "b" }]', "where it comes from"),
        ("sources", "sources = [{}]", "where it comes from"),
        ("title", "title = 3", "a short name"),
        ("criterion", "criterion = ''", "what is observed"),
    ],
)
def test_a_wrong_member_is_said_with_its_line_and_what_to_write(member, instead, remedy):
    lines = [instead if line.startswith(f"{member} ") else line for line in ONE.splitlines()]
    text = "\n".join(lines)
    said = _faults(text)
    assert (len(said), f"all.toml:{_line(text, member)}: " in said[0], remedy in said[0]) == (1, True, True)


@pytest.mark.parametrize("member", ["title", "text", "criterion", "type", "safety_class", "verification", "sources"])
def test_a_missing_member_is_said_with_the_line_of_its_table_and_what_to_write(member):
    text = "\n".join(line for line in ONE.splitlines() if not line.startswith(f"{member} "))
    said = _faults(text)[0]
    assert (said.startswith("requirements/all.toml:3: "), requirements.REMEDIES[member] in said) == (True, True)


def test_a_member_that_is_not_known_is_said_with_those_that_are():
    text = ONE.replace("title =", "titel =")
    said = _faults(text)[0]
    assert (f":{_line(text, 'titel')}: " in said, "safety_class" in said, "controls" in said) == (True, True, False)


def test_all_faults_of_a_file_are_said_at_once():
    two = ONE + trace_projects.a_requirement("REQ-2", type="nice") + trace_projects.a_requirement("REQ-3", type="good")
    assert len(_faults(two)) == 2


def test_a_format_that_is_not_known_is_said():
    assert 'format = "medai.requirements/1"' in _faults(ONE.replace("requirements/1", "requirements/9"))[0]


def test_a_table_that_is_not_known_is_said_with_its_line():
    text = ONE + "\n[[requirment]]\nid = 1\n"
    assert f":{_line(text, '[[requirment]]')}: " in _faults(text)[0]


def test_text_that_is_no_toml_is_said_with_its_line():
    assert _faults(ONE + "\nnot toml\n")[0].startswith("requirements/all.toml:13: not TOML")


def test_a_requirement_that_is_replaced_and_active_is_refused():
    assert "replaced" in _faults(HEAD + trace_projects.a_requirement("REQ-1", replaced_by="REQ-2"))[0]


def test_a_record_of_what_is_verified_by_test_is_refused():
    assert "record" in _faults(HEAD + trace_projects.a_requirement("REQ-1", record="docs/a.md"))[0]


def test_a_hazard_without_a_control_is_refused():
    assert "controls" in _faults(ONE + HAZARD.replace('["REQ-1"]', "[]"))[0]


def test_a_line_within_a_string_of_several_lines_is_no_member():
    text = ONE.replace('title = "The title of REQ-1"', 'title = """\ntype = 1\n"""').replace('"functional"', '"nice"')
    line = _line(text, 'type = "nice')
    assert f":{line}: " in _faults(text)[0]


def test_a_bracket_in_a_string_begins_no_array():
    text = ONE.replace("The title of", "The [title of").replace('"functional"', '"nice"')
    assert f":{_line(text, 'type')}: " in _faults(text)[0]
