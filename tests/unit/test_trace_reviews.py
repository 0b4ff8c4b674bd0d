"""A review holds as long as nothing that its reviewer looked at has moved."""

import msgspec
import pytest

from tests.trace_matrices import a_hazard, a_link, a_matrix, a_requirement, a_test, a_unit, print_of
from traceability import reviews
from traceability.errors import ReviewInvalid, ReviewRefused
from traceability.reviews import Rules

ANNE = "Anne Muster <anne@example.org>"
BEN = "Ben Probe <ben@example.org>"
FREELY = Rules(required=False, independent=frozenset())
STRICTLY = Rules(required=True, independent=frozenset(("B", "C")))
CODE = a_link()
TEST = a_link(target="tests/test_answer.py::test_it_answers", kind="test")


def review(link=CODE, found=None, rules=FREELY, **changes):
    given = {"reviewer": BEN, "authors": [ANNE], "reviewed_at": "2026-01-02T03:04:05Z", "meaning": "review"} | changes
    return reviews.recorded(link, reviews.prints_of(found or a_matrix()), rules, **given)


def state(found, *kept, rules=FREELY, target=CODE.target):
    made = reviews.applied(found, kept, rules)
    return next(link.review for link in made.links if link.target == target)


@pytest.mark.verifies("REQ-TRC-008")
def test_a_link_that_nobody_looked_at_is_not_reviewed():
    assert state(a_matrix()).status == "not_reviewed"


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_says_who_when_and_what_for():
    held = state(a_matrix(), review(meaning="approval"))
    assert (held.status, held.reviewer, held.reviewed_at, held.meaning) == (
        "reviewed", BEN, "2026-01-02T03:04:05Z", "approval",
    )  # fmt: skip


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_of_the_code_says_nothing_of_the_test():
    assert state(a_matrix(), review(CODE), target=TEST.target).status == "not_reviewed"


@pytest.mark.verifies("REQ-TRC-008")
@pytest.mark.parametrize(
    ("moved", "named"),
    [
        ({"requirements": (a_requirement(fingerprint=print_of("new")),)}, "the requirement's text"),
        ({"units": (a_unit(fingerprint=print_of("new")),)}, "the code"),
        ({"hazards": (a_hazard(fingerprint=print_of("new")),)}, "hazard HAZ-001"),
        ({"hazards": ()}, "hazard HAZ-001, which it controls no more"),
        (
            {
                "requirements": (a_requirement(hazards=("HAZ-001", "HAZ-002")),),
                "hazards": (a_hazard(), a_hazard("HAZ-002")),
            },
            "hazard HAZ-002, which it controls now",
        ),
    ],
)  # fmt: skip
def test_whatever_moved_makes_the_link_suspect_and_is_named(moved, named):
    held = state(a_matrix(**moved), review())
    assert (held.status, held.moved) == ("suspect", (named,))


@pytest.mark.verifies("REQ-TRC-008")
def test_a_test_that_moved_is_named_as_a_test():
    held = state(a_matrix(tests=(a_test(fingerprint=print_of("new")),)), review(TEST), target=TEST.target)
    assert (held.status, held.moved) == ("suspect", ("the test",))


@pytest.mark.verifies("REQ-TRC-008")
def test_a_test_that_moved_leaves_the_review_of_the_code_as_it_is():
    assert state(a_matrix(tests=(a_test(fingerprint=print_of("new")),)), review(CODE)).status == "reviewed"


@pytest.mark.verifies("REQ-TRC-008")
def test_a_new_review_takes_the_suspicion_away():
    later = a_matrix(units=(a_unit(fingerprint=print_of("new")),))
    held = state(later, review(), review(found=later, reviewed_at="2026-02-02T03:04:05Z"))
    assert held.status == "reviewed"


@pytest.mark.verifies("REQ-TRC-008")
def test_the_newest_review_counts_wherever_it_stands():
    later = a_matrix(units=(a_unit(fingerprint=print_of("new")),))
    assert state(later, review(found=later, reviewed_at="2026-02-02T03:04:05Z"), review()).status == "reviewed"


@pytest.mark.verifies("REQ-TRC-008")
def test_who_wrote_the_code_may_not_review_it_where_the_class_asks_for_another():
    with pytest.raises(ReviewRefused):
        review(rules=STRICTLY, reviewer=ANNE)


@pytest.mark.verifies("REQ-TRC-008")
@pytest.mark.parametrize("reviewer", ["A. Muster <ANNE@example.org>", "anne  muster <other@example.org>"])
def test_another_mail_or_another_spelling_makes_no_other_person(reviewer):
    with pytest.raises(ReviewRefused):
        review(rules=STRICTLY, reviewer=reviewer)


@pytest.mark.verifies("REQ-TRC-008")
def test_one_of_several_authors_may_not_review_either():
    with pytest.raises(ReviewRefused):
        review(rules=STRICTLY, authors=["Carla <c@example.org>", BEN])


@pytest.mark.verifies("REQ-TRC-008")
def test_another_person_may_review_what_the_class_asks_another_for():
    assert review(rules=STRICTLY).reviewer == BEN


def test_an_author_may_review_where_the_class_does_not_mind():
    assert review(reviewer=ANNE).reviewer == ANNE


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_by_its_author_that_was_written_by_hand_is_suspect():
    held = state(a_matrix(), review(reviewer=ANNE), rules=STRICTLY)
    assert (held.status, held.moved) == ("suspect", (f"the reviewer is its author {ANNE}",))


def test_what_nobody_wrote_cannot_be_reviewed():
    with pytest.raises(ReviewRefused):
        review(authors=[])


def test_a_link_with_one_end_missing_cannot_be_reviewed():
    with pytest.raises(ReviewRefused):
        review(found=a_matrix(units=()))


def test_what_is_only_stated_cannot_be_reviewed():
    with pytest.raises(ReviewRefused):
        review(a_link(kind="todo"))


@pytest.mark.parametrize(
    "changes",
    [{"reviewer": "Ben"}, {"reviewer": "<ben@example.org>"}, {"reviewed_at": "yesterday"}, {"meaning": "fine"}],
)
def test_a_review_that_could_not_be_read_back_is_not_made(changes):
    with pytest.raises(ReviewRefused):
        review(**changes)


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_is_read_back_as_it_was_written():
    kept = (
        review(comment='says "so"\nand\ttabs \x7f \\ ü'),
        review(TEST, reviewed_at="2026-02-02T03:04:05Z", found=a_matrix()),
    )
    back = reviews.parse(reviews.encode(kept), "a.toml")
    assert tuple(msgspec.structs.replace(one, file="", line=0) for one in back) == kept


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_of_a_requirement_without_hazards_is_read_back():
    found = a_matrix(requirements=(a_requirement(hazards=()),))
    kept = (review(found=found),)
    assert reviews.parse(reviews.encode(kept), "a.toml")[0].fingerprints == kept[0].fingerprints


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_that_was_read_knows_where_it_stands():
    back = reviews.parse(reviews.encode([review(), review()]), "reviews/a.toml")
    assert [(one.file, one.line) for one in back] == [("reviews/a.toml", 3), ("reviews/a.toml", 16)]


GOOD = reviews.encode([review()])


@pytest.mark.verifies("REQ-TRC-008")
@pytest.mark.parametrize(
    "text",
    [
        "", "format = 1", GOOD.replace("reviews/1", "reviews/2"), GOOD.replace("meaning", "meant"),
        GOOD.replace('"review"', '"maybe"'), GOOD.replace("[[review]]", "[review]"), GOOD + "\n[other]\n",
        GOOD.replace("T03:04:05Z", ""), GOOD.replace("requirement = \"REQ", "requirement = 1 # \"REQ"), "x = [",
        GOOD.replace(print_of("REQ-A-001"), "abc"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_reviews_is_refused_with_its_name(text):
    assert text != GOOD
    with pytest.raises(ReviewInvalid, match=r"^a\.toml"):
        reviews.parse(text, "a.toml")


@pytest.mark.verifies("REQ-TRC-008")
def test_a_link_that_is_not_reviewed_is_open_and_no_finding():
    assert reviews.applied(a_matrix(), (), FREELY).findings == ()


@pytest.mark.verifies("REQ-TRC-008")
def test_a_link_that_is_not_reviewed_is_a_finding_where_reviews_are_required():
    found = reviews.applied(a_matrix(), (), STRICTLY).findings
    assert [(one.code, one.severity, one.subject) for one in found] == [
        ("link_not_reviewed", "fail", "REQ-A-001"), ("link_not_reviewed", "fail", "REQ-A-001"),
    ]  # fmt: skip


@pytest.mark.verifies("REQ-TRC-008")
@pytest.mark.parametrize(("rules", "severity"), [(FREELY, "note"), (STRICTLY, "fail")])
def test_a_suspect_link_is_a_finding_that_says_what_moved_and_what_to_do(rules, severity):
    found = reviews.applied(a_matrix(units=(a_unit(fingerprint=print_of("new")),)), [review()], rules).findings
    (one,) = [one for one in found if one.code == "link_suspect"]
    assert (one.severity, "the code" in one.text, one.remedy) == (
        severity, True, "look at it again: medai trace review REQ-A-001 --target product/answer.py::answer",
    )  # fmt: skip


@pytest.mark.verifies("REQ-TRC-008")
def test_a_review_of_what_is_no_link_any_more_is_noted_where_it_stands():
    kept = reviews.parse(GOOD, "reviews/a.toml")
    found = reviews.applied(a_matrix(links=(TEST,)), kept, FREELY).findings
    assert [(one.code, one.severity, one.file, one.line) for one in found] == [
        ("review_of_nothing", "note", "reviews/a.toml", 3)
    ]


@pytest.mark.verifies("REQ-TRC-008")
def test_words_are_not_reviewed():
    found = a_matrix(links=(a_link(kind="exception"),))
    assert reviews.applied(found, (), STRICTLY).findings == ()


@pytest.mark.verifies("REQ-TRC-008")
def test_findings_that_were_there_are_kept():
    found = a_matrix(findings=(finding := reviews.applied(a_matrix(), (), STRICTLY).findings[0],))
    assert reviews.applied(found, (), FREELY).findings == (finding,)
