"""`medai release evidence` and `medai release page`: what a release is decided by, and the page to decide it on.

Exit codes: 0 approved, and nothing stands against it; 1 something stands against it; 2 usage, or a file that cannot be
used; 3 nothing stands against it, and nobody has approved it.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sbom import collect, components, evidence, looking, releasing
from sbom.errors import SbomError
from sbom.gate import Gate

EXITS: Final = {"approved": 0, "blocked": 1, "not_approved": 3}
EXIT_USAGE: Final = 2


def make(arguments: Sequence[str]) -> int:
    """Make all evidence of this checkout, and bind it."""
    parser = argparse.ArgumentParser(prog="medai release evidence", description="make what a release is decided by")
    _common(parser)
    looking.arguments(parser)
    parser.add_argument("--key", type=Path, help="the release key, PEM (default: one that is made and thrown away)")
    parser.add_argument("--builder", default="urn:medai-flow:builder:local", help="who builds, as a URI")
    parser.add_argument("--invocation", action="append", default=[], metavar="NAME=VALUE", help="SLSA run metadata")
    parser.add_argument("--wheel", type=Path, action="append", default=[], help="a wheel that ships")
    parser.add_argument("--image", action="append", default=[], help="an image that ships, NAME@sha256:HEX")
    parser.add_argument("--image-root", type=Path, help="an unpacked image, for its operating-system packages")
    parser.add_argument("--base-image", help="the image that ours is built on, NAME@sha256:HEX")
    parser.add_argument("--author", help="who makes the product")
    parser.add_argument("--author-email")
    parser.add_argument("--author-url")
    given = parser.parse_args(arguments)
    given.vex = given.vex or given.project / "sbom/vex.toml"
    given.lock = given.lock or given.project / releasing.LOCK

    def work() -> int:
        author = components.organisation(given.author, given.author_email, given.author_url) if given.author else None
        places = collect.Places(
            project=given.project, python=given.python, image_root=given.image_root, base_image=given.base_image,
            author=author,
        )  # fmt: skip
        document = evidence.document(places, given.folder)
        evidence.decisions(looking.look_up(given, document, _today(given)), given.folder)
        evidence.compare(document, given.before, given.folder)
        sources = releasing.Sources(
            project=given.project, site=collect.site_of(given.python), evidence=given.folder,
            wheels=tuple(given.wheel), images=tuple(given.image), builder=given.builder,
            invocation=dict(each.split("=", 1) for each in given.invocation),
        )  # fmt: skip
        digest = evidence.bind(sources, releasing.private_key(given.key) if given.key else None)
        print(f"release {digest}")
        return _show(given)

    return _run(work)


def page(arguments: Sequence[str]) -> int:
    """Make the page anew from finished evidence, for instance with an approval that came since."""
    parser = argparse.ArgumentParser(prog="medai release page", description="make the release page anew")
    _common(parser)
    given = parser.parse_args(arguments)
    return _run(lambda: _show(given))


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--folder", type=Path, default=Path("build/evidence"), help="default: build/evidence")
    parser.add_argument("--project", type=Path, default=Path(), help="the checkout (default: this folder)")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the environment's interpreter")
    parser.add_argument("--before", type=Path, help="the bill of materials of the last release")
    parser.add_argument("--trusted", type=Path, help="public keys of builders, PEM")
    parser.add_argument("--approvers", type=Path, help="public keys of approvers, PEM; approvals are in approvals/")
    parser.add_argument("--approvals-needed", type=int, default=1)
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the day to judge by (default: today, UTC)")


def _show(given: argparse.Namespace) -> int:
    judged = evidence.show(
        evidence.View(
            folder=given.folder,
            project=given.project,
            site=collect.site_of(given.python),
            trusted=releasing.public_keys(given.trusted) if given.trusted else (),
            approvers=releasing.public_keys(given.approvers) if given.approvers else (),
            approvals_needed=given.approvals_needed,
            before=given.before,
            today=_today(given),
        )
    )
    _tell(judged)
    print(f"{given.folder / evidence.PAGE}")
    return EXITS[judged.decision]


def _tell(judged: Gate) -> None:
    print(judged.decision.replace("_", " ").upper())
    for each in judged.findings:
        print(f"  {'stands against it' if each.weight == 'stands_against' else 'to know'}: {each.text}")


def _today(given: argparse.Namespace) -> dt.date:
    day: dt.date = given.today or dt.datetime.now(dt.UTC).date()
    return day


def _run(work: Callable[[], int]) -> int:
    try:
        return work()
    except (SbomError, OSError, ValueError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
