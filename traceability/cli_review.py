"""`medai trace review`: record that somebody looked at what implements or verifies a requirement."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from traceability import authors, project, reviews
from traceability.errors import ReviewRefused, TraceError
from traceability.reviews import Recorded
from traceability.rows import Link, Matrix, TestRow, UnitRow
from traceability.settings import Settings
from traceability.survey import reviews_of, rules_of, survey

EXIT_REFUSED: Final = 1
EXIT_UNDONE: Final = 3


def review(arguments: Sequence[str]) -> int:
    """0 where the review is recorded; 1 where it may not be made; 3 where the matrix is not to be had."""
    parser = argparse.ArgumentParser(
        prog="medai trace review",
        description="Record a review of what cites a requirement. Whoever wrote the code or test may not review it "
        "where the class of the requirement asks for somebody else. Commit the file that this writes.",
    )
    parser.add_argument("requirement", metavar="REQUIREMENT", help="its id")
    parser.add_argument(
        "--target", metavar="ID", action="append", default=[], help="only this code or test (FILE::NAME)"
    )
    parser.add_argument("--list", action="store_true", help="say how the reviews stand, and record nothing")
    parser.add_argument("--meaning", choices=("review", "approval"), default="review", help="what the name stands for")
    parser.add_argument("--comment", default="", help="what else is to be kept")
    parser.add_argument("--reviewer", metavar="'NAME <MAIL>'", help="who reviews (default: whom git knows here)")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the project (default: this folder)")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="what a test run left, where it is elsewhere")
    given = parser.parse_args(arguments)
    root = given.root.absolute()
    try:
        found, chosen = survey(root, given.evidence), project.settings_of(root)
        links = _links(found, given.requirement, given.target)
        if given.list:
            return _show(links)
        reviewer = given.reviewer or authors.asking(root)
        made = [_made(root, found, chosen, link, reviewer, given.meaning, given.comment) for link in links]
        print(f"{_keep(root, chosen, given.requirement, made)}: {len(made)} reviewed by {reviewer}; commit it")
    except ReviewRefused as error:
        return _complain(error, EXIT_REFUSED)
    except TraceError as error:
        return _complain(error, EXIT_UNDONE)
    return 0


def _links(found: Matrix, requirement: str, targets: Sequence[str]) -> list[Link]:
    own = [link for link in found.links if link.requirement == requirement and link.kind in reviews.REVIEWED]
    if not own:
        raise ReviewRefused(
            f"{requirement}: nothing cites it that could be reviewed; `medai trace check` says what there is"
        )
    if unknown := sorted(set(targets) - {link.target for link in own}):
        raise ReviewRefused(f"{', '.join(unknown)}: does not cite {requirement}; these do: {_names(own)}")
    return [link for link in own if not targets or link.target in targets]


def _names(links: Sequence[Link]) -> str:
    return ", ".join(link.target for link in links)


def _show(links: Sequence[Link]) -> int:
    for link in links:
        told = link.review
        by = f" {told.meaning} by {told.reviewer} at {told.reviewed_at}" if told.reviewer else ""
        moved = f"; moved since: {', '.join(told.moved)}" if told.moved else ""
        print(f"{told.status.replace('_', ' '):<12} {link.kind:<14} {link.target}{by}{moved}")
    return 0


def _made(
    root: Path, found: Matrix, chosen: Settings, link: Link, reviewer: str, meaning: reviews.Meaning, comment: str
) -> Recorded:
    targets: dict[str, UnitRow | TestRow] = {row.id: row for row in found.units}
    targets |= {row.id: row for row in found.tests}
    row = targets[link.target]
    return reviews.recorded(
        link,
        reviews.prints_of(found),
        rules_of(chosen),
        reviewer=reviewer,
        authors=authors.of_lines(root, row.file, row.line, row.last_line),
        reviewed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        meaning=meaning,
        comment=comment,
    )


def _keep(root: Path, chosen: Settings, requirement: str, made: Sequence[Recorded]) -> str:
    """Add `made` to the requirement's file; what is there stays. Returns the file."""
    place = f"{chosen.review_records}/{requirement}.toml"
    there = [one for one in reviews_of(root, chosen) if one.file == place]
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reviews.encode([*there, *made]), "utf-8")
    return place


def _complain(error: TraceError, exit_code: int) -> int:
    print(f"medai: {error.code}: {error}", file=sys.stderr)
    return exit_code
