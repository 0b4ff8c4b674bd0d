"""Records as lines: what a spreadsheet, a SIEM and a program read."""

import csv
import io
import json

import pytest
from msgspec.structs import replace

from audit import lines, record

pytestmark = pytest.mark.verifies("REQ-LOG-006")

LEAF = bytes(range(32))


@pytest.fixture
def refused():
    return record.Request(
        format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=1_790_000_000_000_000,
        request_id=record.new_event_id(), correlation_id=record.new_event_id(), method="GET", route="/audit/records",
        status=403, actor="auditor", peer=f"k1:{'b' * 64}", release=None, code="forbidden",
    )  # fmt: skip


def test_a_line_of_json_holds_the_record_s_own_bytes(refused):
    body = record.encode(refused)
    line = lines.json_line(3, LEAF, body)
    assert (json.loads(line)["index"], body in line, line.count(b"\n")) == (3, True, 1)


def test_a_line_of_csv_has_a_value_for_each_member_of_the_header(refused):
    (header,), (values,) = (
        list(csv.reader(io.StringIO(text))) for text in (lines.csv_header(), lines.csv_line(3, LEAF, refused))
    )
    read = dict(zip(header, values, strict=True))
    assert (read["index"], read["leaf_hash"], read["status"], read["code"]) == ("3", LEAF.hex(), "403", "forbidden")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text):
    assert lines.safe(text) == f"'{text}"


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (-5, "-5"), ("plain", "plain"), ("a=b", "a=b")])
def test_everything_else_stays_what_it_is(value, shown):
    assert lines.safe(value) == shown


def test_a_refusal_is_a_cef_line_of_middling_severity(refused):
    line = lines.cef_line(3, LEAF, refused, origin="log.example/a", version="1.0")
    assert line.startswith(
        "CEF:0|MedAI Flow|medai-flow|1.0|request|GET /audit/records|5|rt=1790000000000 externalId=3 "
    )


def test_an_answer_is_a_cef_line_with_its_decision_and_model(prediction):
    line = lines.cef_line(3, LEAF, prediction, origin="log.example/a", version="1.0")
    assert "act=positive cs4Label=model cs4=ct-slice@1.0.0" in line


def test_pipes_and_equals_signs_cannot_break_a_cef_line(refused):
    line = lines.cef_line(3, LEAF, replace(refused, code="a=b\\c"), origin="log|a=b", version="1|0")
    assert ("1\\|0" in line, "reason=a\\=b\\\\c" in line, "deviceExternalId=log|a\\=b" in line) == (True, True, True)


def test_a_cef_line_is_one_line(refused):
    line = lines.cef_line(3, LEAF, refused, origin="a\nb", version="1\n0")
    assert line.count("\n") == 1
