"""`medai release`: what a release is made of, signed; who approved it; whether what is here is it.

Exit codes: 0 verified and approved; 1 something is not what the release binds; 2 usage, or no signature that is
trusted; 3 verified, not approved.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sbom import dsse, following, releasing, statement
from sbom.errors import SbomError
from sbom.releasing import Sources
from sbom.statement import Approval, Release

EXIT_DIFFERENT: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_APPROVED: Final = 3


def build(arguments: Sequence[str]) -> int:
    """Bind and sign. The release is not approved by being built."""
    parser = argparse.ArgumentParser(prog="medai release build", description="bind a release and sign it")
    _sources(parser)
    parser.add_argument("--key", type=Path, required=True, help="an Ed25519 private key, PEM")
    parser.add_argument("--builder", default="urn:medai-flow:builder:local", help="who builds, as a URI")
    parser.add_argument("--invocation", action="append", default=[], metavar="NAME=VALUE", help="SLSA run metadata")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(arguments)

    def work() -> int:
        payload = statement.encode(releasing.collect(_given(given)))
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_bytes(dsse.sign(payload, dsse.IN_TOTO, [releasing.private_key(given.key)]))
        print(statement.digest(payload))
        return 0

    return _run(work)


def approve(arguments: Sequence[str]) -> int:
    """Sign an approval: a name, the time, and what the signature means."""
    parser = argparse.ArgumentParser(prog="medai release approve", description="sign an approval of a release")
    parser.add_argument("release", type=Path, help="release.dsse.json")
    parser.add_argument("--trusted", type=Path, required=True, help="public keys of builders, PEM")
    parser.add_argument("--key", type=Path, required=True, help="the approver's own private key, PEM")
    parser.add_argument("--name", required=True, help="the approver's name")
    parser.add_argument("--meaning", required=True, help="what the signature means, for instance: approved for release")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(arguments)

    def work() -> int:
        payload = dsse.open(given.release.read_bytes(), releasing.public_keys(given.trusted)).payload
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        approval = Approval(name=given.name, time=now, meaning=given.meaning)
        signed = statement.encode_approval(approval, statement.digest(payload))
        given.output.write_bytes(dsse.sign(signed, dsse.IN_TOTO, [releasing.private_key(given.key)]))
        print(f"{given.output}: {given.name} approves {statement.digest(payload)}: {given.meaning}")
        return 0

    return _run(work)


def verify(arguments: Sequence[str]) -> int:
    """Whether a trusted key signed the release, what is here is what it binds, and somebody approved it."""
    parser = argparse.ArgumentParser(prog="medai release verify", description="verify a release")
    parser.add_argument("release", type=Path, help="release.dsse.json")
    parser.add_argument("--trusted", type=Path, required=True, help="public keys of builders, PEM")
    parser.add_argument("--approval", type=Path, action="append", default=[], help="an approval's envelope")
    parser.add_argument("--approvers", type=Path, help="public keys of approvers, PEM")
    parser.add_argument("--approvals-needed", type=int, default=1)
    parser.add_argument("--installed", action="store_true", help="what --python has installed, and --project, as well")
    _sources(parser)
    given = parser.parse_args(arguments)

    def work() -> int:
        opened = dsse.open(given.release.read_bytes(), releasing.public_keys(given.trusted))
        release, digest = statement.decode(opened.payload), statement.digest(opened.payload)
        different = list(releasing.differences(release, _given(given)))
        if given.installed:
            different += releasing.installed_differences(release, _given(given))
        print(f"release {digest}\nsigned by {', '.join(opened.signed_by)}")
        for each in different:
            print(f"  {each}")
        for name in releasing.uncompared(release, _given(given)):
            print(f"not compared: {name} (give it with --wheel or --image)")
        if not given.installed:
            print("not compared: what is installed (--installed)")
        keys = releasing.public_keys(given.approvers) if given.approvers else ()
        approved = releasing.approvals([each.read_bytes() for each in given.approval], keys, digest)
        for one in approved:
            print(f"approved by {one.approval.name} at {one.approval.time}: {one.approval.meaning}")
        if different:
            return EXIT_DIFFERENT
        counted = releasing.independent(approved, opened.signed_by)
        if counted < max(1, given.approvals_needed):
            print(f"NOT APPROVED: {counted} of {max(1, given.approvals_needed)} approvals by keys that did not sign it")
            return EXIT_NOT_APPROVED
        return 0

    return _run(work)


def show(arguments: Sequence[str]) -> int:
    """The thread from a prediction's record: its `release` digest, and everything that this release binds."""
    parser = argparse.ArgumentParser(prog="medai release show", description="what a release binds")
    parser.add_argument("digest", help="the `release` of a record")
    parser.add_argument("--releases", type=Path, nargs="+", required=True, help="release.dsse.json files to look in")
    parser.add_argument("--trusted", type=Path, help="public keys of builders, PEM; without, nothing is verified")
    parser.add_argument("--evidence", type=Path, help="where its evidence lies (default: beside the release)")
    given = parser.parse_args(arguments)

    def work() -> int:
        for path in given.releases:
            envelope = path.read_bytes()
            payload = dsse.unverified(envelope)
            if statement.digest(payload) == given.digest:
                signed = dsse.open(envelope, releasing.public_keys(given.trusted)).signed_by if given.trusted else ()
                release = statement.decode(payload)
                _show(release, given.digest, signed)
                for line in following.thread(release, given.evidence or path.parent):
                    print(line)
                return 0
        sys.stderr.write(f"medai: not_found: none of {len(given.releases)} releases is {given.digest}\n")
        return EXIT_DIFFERENT

    return _run(work)


def _show(release: Release, digest: str, signed_by: Sequence[str]) -> None:
    print(f"release      {digest}")
    print(f"signed by    {', '.join(signed_by) or 'not verified: no trusted keys were given'}")
    print(f"version      {release.version}\ncommit       {release.commit}\nsource       {release.source}")
    print(f"migrations   {release.migrations_head}\nbuilder      {release.builder}")
    for title, resources in (
        ("ships", release.subjects), ("lock", release.locks), ("models", release.models),
        ("evidence", release.evidence), ("packages", release.packages),
    ):  # fmt: skip
        print(f"{title}:")
        for each in resources:
            algorithm, value = next(iter(each.digest.items()))
            print(f"  {each.name or each.uri}  {algorithm}:{value}")


def _sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", type=Path, default=Path(), help="the checkout (default: this folder)")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the environment's interpreter")
    parser.add_argument("--evidence", type=Path, default=Path("build/evidence"), help="the folder of evidence")
    parser.add_argument("--wheel", type=Path, action="append", default=[], help="a wheel that ships")
    parser.add_argument("--image", action="append", default=[], help="an image that ships, NAME@sha256:HEX")


def _given(given: argparse.Namespace) -> Sources:
    from sbom.collect import site_of

    return Sources(
        project=given.project,
        site=site_of(given.python),
        evidence=given.evidence,
        wheels=tuple(given.wheel),
        images=tuple(given.image),
        builder=getattr(given, "builder", ""),
        invocation=dict(each.split("=", 1) for each in getattr(given, "invocation", ())),
    )


def _run(work: Callable[[], int]) -> int:
    try:
        return work()
    except (SbomError, OSError, ValueError) as error:
        sys.stderr.write(f"medai: {getattr(error, 'code', 'unusable')}: {error}\n")
        return EXIT_USAGE
