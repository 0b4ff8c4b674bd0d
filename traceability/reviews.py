"""Reviews: what a person has said of a link, and whether it still holds.

A review is of one link: this requirement, cited by this code or this test. It keeps the fingerprints of the
requirement, of what cites it, and of each hazard that the requirement controls, as they were when the reviewer
looked. Any that has moved makes the link suspect, and is named. Nothing is ever taken out of a file of reviews: the
newest of a link is the one that counts, those before it are its history.

    traceability/reviews/REQ-LED-001.toml      one file a requirement, so that two reviewers seldom meet in one

Pure: reading files and asking git who wrote what are `traceability.authors`' and the command line's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from traceability.errors import ReviewInvalid, ReviewRefused
from traceability.marks import implements
from traceability.requirements import SafetyClass
from traceability.rows import Finding, Link, Matrix, Review, Severity

FORMAT: Final = "medai.reviews/1"
REVIEWED: Final = ("implementation", "test")
"""The kinds of citation that a person can review; the others are words already."""

Print = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Person = Annotated[str, Meta(pattern=r"^[^<>\r\n]*\S[^<>\r\n]* <[^<>\s]+>$", max_length=320)]
# RFC 3339 section 5.6, in UTC and whole seconds.
Moment = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Meaning = Literal["review", "approval"]
"""What the reviewer's name stands for (the words are those of 21 CFR 11.50(a)(3))."""


class Prints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was looked at, as it was then."""

    requirement: Print
    target: Print
    hazards: dict[str, Print] = {}


class Recorded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One review, as it is kept."""

    requirement: str
    kind: Literal["implementation", "test"]
    target: str
    reviewer: Person
    reviewed_at: Moment
    meaning: Meaning
    comment: str = ""
    authors: tuple[Person, ...]
    """Who had written the lines of the target, as git had it when they were reviewed."""
    fingerprints: Prints
    file: str = ""
    line: int = 0


class Rules(Struct, frozen=True, kw_only=True):
    """What a project asks of reviews."""

    required: bool
    """Whether a link that is not reviewed, or suspect, closes the gate."""
    independent: frozenset[SafetyClass]
    """The classes whose code and tests may not be reviewed by those who wrote them."""


@implements("REQ-TRC-008")
def parse(text: str, file: str) -> tuple[Recorded, ...]:
    """The reviews in `text`, in their order. Raises `ReviewInvalid` naming file and line."""
    try:
        read = msgspec.toml.decode(text, type=dict[str, object])
        if read.pop("format", None) != FORMAT:
            raise ReviewInvalid(f'{file}:1: the format is not known: write format = "{FORMAT}" first')
        kept = msgspec.convert(read.pop("review", []), tuple[Recorded, ...])
    except msgspec.DecodeError as error:
        raise ReviewInvalid(f"{file}: no file of reviews: {error}; `medai trace review` writes them") from error
    if read:
        raise ReviewInvalid(f"{file}: {min(read)!r} is not known here: there are [[review]] tables alone")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line.strip() == "[[review]]"]
    if len(lines) != len(kept):
        raise ReviewInvalid(f"{file}: write each review as a table of its own, under [[review]]")
    placed = zip(kept, lines, strict=True)
    return tuple(msgspec.structs.replace(one, file=file, line=line) for one, line in placed)


@implements("REQ-TRC-008")
def encode(kept: Iterable[Recorded]) -> str:
    """The text of a file of reviews: `parse(encode(k))` is `k` but for where each stands."""
    parts = [f"format = {_quoted(FORMAT)}\n"]
    for one in kept:
        names = ("requirement", "kind", "target", "reviewer", "reviewed_at", "meaning", "comment")
        told = [(name, str(getattr(one, name))) for name in names if getattr(one, name)]
        parts.append("[[review]]\n" + "".join(f"{name} = {_quoted(value)}\n" for name, value in told))
        parts[-1] += f"authors = [{', '.join(map(_quoted, one.authors))}]\n"
        prints = one.fingerprints
        hazards = ", ".join(f"{_quoted(name)} = {_quoted(print_)}" for name, print_ in sorted(prints.hazards.items()))
        parts[-1] += "[review.fingerprints]\n"
        parts[-1] += f"requirement = {_quoted(prints.requirement)}\ntarget = {_quoted(prints.target)}\n"
        parts[-1] += f"hazards = {{ {hazards} }}\n" if hazards else "hazards = {}\n"
    return "\n".join(parts)


def prints_of(found: Matrix) -> "Looked":
    """The fingerprints of now, by what they are of."""
    return Looked(
        requirements={row.id: row.fingerprint for row in found.requirements},
        targets={row.id: row.fingerprint for row in found.units} | {row.id: row.fingerprint for row in found.tests},
        hazards={row.id: row.fingerprint for row in found.hazards},
        controls={row.id: row.hazards for row in found.requirements},
        classes={row.id: row.safety_class for row in found.requirements},
    )


class Looked(Struct, frozen=True, kw_only=True):
    """The fingerprints of a matrix, and which hazards each requirement controls."""

    requirements: Mapping[str, str]
    targets: Mapping[str, str]
    hazards: Mapping[str, str]
    controls: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, SafetyClass]

    def of(self, link: Link) -> Prints | None:
        """What a reviewer of `link` looks at; None where one end of it is not there."""
        requirement, target = self.requirements.get(link.requirement), self.targets.get(link.target)
        if requirement is None or target is None:
            return None
        hazards = {name: self.hazards[name] for name in self.controls[link.requirement] if name in self.hazards}
        return Prints(requirement=requirement, target=target, hazards=hazards)


def recorded(
    link: Link,
    looked: Looked,
    rules: Rules,
    *,
    reviewer: str,
    authors: Sequence[str],
    reviewed_at: str,
    meaning: Meaning,
    comment: str = "",
) -> Recorded:
    """The review of `link` by `reviewer`, to be kept.

    Raises `ReviewRefused` where one end of the link is missing, where nobody can say who wrote the target, and where
    the class asks for another person than those who did.
    """
    prints = looked.of(link)
    if prints is None or link.kind not in REVIEWED:
        raise ReviewRefused(f"{link.target}: there is nothing to review: {link.requirement} or what cites it is gone")
    if not authors:
        raise ReviewRefused(f"{link.target}: git names no author of it: commit it first")
    safety_class = looked.classes[link.requirement]
    if safety_class in rules.independent and any(same_person(reviewer, author) for author in authors):
        raise ReviewRefused(
            f"{link.target}: {reviewer} wrote a part of it, and {link.requirement} is of class {safety_class}: "
            "somebody else has to review it"
        )
    made = Recorded(
        requirement=link.requirement,
        kind="test" if link.kind == "test" else "implementation",
        target=link.target,
        reviewer=reviewer,
        reviewed_at=reviewed_at,
        meaning=meaning,
        comment=comment,
        authors=tuple(sorted(set(authors))),
        fingerprints=prints,
    )
    try:
        return msgspec.convert(msgspec.to_builtins(made), Recorded)
    except msgspec.ValidationError as error:
        raise ReviewRefused(f"{link.target}: this cannot be kept: {error}; a reviewer is NAME <MAIL>") from error


@implements("REQ-TRC-008")
def same_person(one: str, other: str) -> bool:
    """Whether two `NAME <MAIL>` are of one person, as far as they tell: by the mail, or else by the name."""
    (name, mail), (other_name, other_mail) = _person(one), _person(other)
    return mail == other_mail or name == other_name


@implements("REQ-TRC-008")
def applied(found: Matrix, kept: Iterable[Recorded], rules: Rules) -> Matrix:
    """`found` with what is known of each link's review, and findings on reviews; its summary is not counted anew."""
    looked = prints_of(found)
    newest: dict[tuple[str, str, str], Recorded] = {}
    for made in kept:
        key = (made.requirement, made.kind, made.target)
        if key not in newest or newest[key].reviewed_at <= made.reviewed_at:
            newest[key] = made
    links, findings = [], []
    for link in found.links:
        if link.kind not in REVIEWED or link.verdict == "retired":
            links.append(link)
            continue
        key = (link.requirement, link.kind, link.target)
        one = newest.pop(key) if key in newest else None
        judged = judge(link, one, looked, rules)
        links.append(msgspec.structs.replace(link, review=judged))
        findings += _findings(link, one, judged, rules)
    findings += [_stray(newest[key]) for key in sorted(newest)]
    return msgspec.structs.replace(found, links=tuple(links), findings=(*found.findings, *findings))


@implements("REQ-TRC-008")
def judge(link: Link, one: Recorded | None, looked: Looked, rules: Rules) -> Review:
    """What the newest review of a link, if there is one, says of the link as it is now."""
    if one is None:
        return Review()
    moved = _moved(one, looked.of(link))
    if looked.classes.get(link.requirement) in rules.independent:
        moved += tuple(
            f"the reviewer is its author {author}" for author in one.authors if same_person(author, one.reviewer)
        )
    return Review(
        status="suspect" if moved else "reviewed",
        reviewer=one.reviewer,
        reviewed_at=one.reviewed_at,
        meaning=one.meaning,
        moved=moved,
    )


def _moved(one: Recorded, now: Prints | None) -> tuple[str, ...]:
    then = one.fingerprints
    if now is None:
        return ("one end of the link is gone",)
    moved = ["the requirement's text"] if now.requirement != then.requirement else []
    if now.target != then.target:
        moved.append("the test" if one.kind == "test" else "the code")
    for name in sorted(then.hazards.keys() | now.hazards.keys()):
        if name not in then.hazards:
            moved.append(f"hazard {name}, which it controls now")
        elif name not in now.hazards:
            moved.append(f"hazard {name}, which it controls no more")
        elif then.hazards[name] != now.hazards[name]:
            moved.append(f"hazard {name}")
    return tuple(moved)


def _findings(link: Link, one: Recorded | None, judged: Review, rules: Rules) -> list[Finding]:
    severity: Severity = "fail" if rules.required else "note"
    command = f"medai trace review {link.requirement} --target {link.target}"
    if judged.status == "suspect" and one is not None:
        text = f"{link.requirement} and {link.target} were reviewed by {judged.reviewer}; since then moved: "
        text += ", ".join(judged.moved)
        return [_finding("link_suspect", severity, link, text, f"look at it again: {command}")]
    if judged.status == "not_reviewed" and rules.required:
        text = f"nobody has reviewed that {link.target} is what {link.requirement} asks for"
        return [_finding("link_not_reviewed", severity, link, text, f"let somebody review it: {command}")]
    return []


def _finding(code: str, severity: Severity, link: Link, text: str, remedy: str) -> Finding:
    return Finding(
        code=code, severity=severity, subject=link.requirement, file=link.file, line=link.line, text=text, remedy=remedy
    )


def _stray(one: Recorded) -> Finding:
    return Finding(
        code="review_of_nothing",
        severity="note",
        subject=one.requirement,
        file=one.file,
        line=one.line,
        text=f"a review of {one.requirement} and {one.target}, which is no link any more",
        remedy="leave it as history, or mark the code or test again",
    )


def _person(text: str) -> tuple[str, str]:
    name, _, mail = text.partition("<")
    return " ".join(name.split()).casefold(), mail.rstrip("> ").strip().casefold()


def _quoted(value: str) -> str:
    """A TOML basic string: JSON's escapes, and DEL escaped as well (TOML 1.0.0, "String")."""
    return re.sub("\x7f", r"\\u007f", json.dumps(value, ensure_ascii=False))
