"""`medai`: a table of sub-commands, each imported only when it is chosen.

An auditor's `medai audit verify` needs no web framework and no ONNX Runtime. Exit codes: 0 done, or valid up to
the anchor; 1 altered or broken; 2 usage, or something could not be read; 3 consistent but unattested.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from audit.errors import AuditError, Unattested, VerificationFailed
from service.errors import ServiceError

Command = Callable[[Sequence[str]], int]

# What is typed, where its function is, and what it does.
COMMANDS: Final[dict[tuple[str, ...], tuple[str, str, str]]] = {
    ("serve",): ("service.cli_serve", "serve", "serve on this machine"),
    ("demo",): ("service.cli_demo", "demo", "show the whole way of an answer, and of an altered one"),
    ("migrate",): ("service.cli_serve", "migrate_database", "bring the database's schema up to date"),
    ("ledger", "init"): ("audit.cli", "ledger_init", "make the signing key and record 0"),
    ("token", "issue"): ("service.cli_token", "issue", "make a token and print it"),
    ("token", "list"): ("service.cli_token", "show", "list tokens by name"),
    ("token", "revoke"): ("service.cli_token", "revoke", "end a token"),
    ("model", "list"): ("service.cli_model", "show", "list the models"),
    ("model", "verify"): ("service.cli_model", "verify", "check digests and golden vectors"),
    ("ledger", "rotate-key"): ("audit.cli_key", "rotate", "rotate the signing key"),
    ("audit", "key"): ("audit.cli_key", "key", "print the log's verifier key, or its whole history"),
    ("audit", "recover"): ("audit.cli_recover", "recover", "close a log that lost records, and open the next"),
    ("audit", "verify"): ("audit.cli", "verify", "verify a receipt, an answer or the whole ledger"),
    ("audit", "watch"): ("audit.cli_watch", "watch", "verify the ledger by schedule"),
    ("audit", "witness"): ("audit.witness.cli", "main", "run a witness of one's own: init, key, run"),
    ("audit", "record"): ("audit.cli", "record", "show one record and its proof"),
    ("audit", "proof"): ("audit.cli_proof", "proof", "print a record's receipt, upgraded to a cosigned one"),
    ("audit", "publish"): ("audit.cli_publish", "publish", "send the newest checkpoint to anchors and witnesses"),
    ("audit", "tiles"): ("audit.cli_tiles", "main", "write the log as static files: export DIR"),
    ("trace", "check"): ("traceability.cli", "check", "prove requirements by code and tests; say what is not proved"),
    ("trace", "report"): (
        "traceability.cli_reports",
        "report",
        "write the matrix as a page, CSV, JSON, ReqIF, Markdown",
    ),
    ("trace", "diff"): ("traceability.cli_reports", "diff", "say what changed between two matrices"),
    ("trace", "review"): ("traceability.cli_review", "review", "record that somebody looked at code or a test"),
    ("trace", "ids"): ("traceability.cli", "ids", "make the module of the marks, with the ids as a type"),
    ("trace", "mutants"): ("traceability.cli_mutants", "mutants", "try whether the claiming tests notice changed code"),
    ("sbom", "build"): ("sbom.cli", "build", "write the bill of materials (CycloneDX)"),
    ("sbom", "check"): ("sbom.cli", "check", "judge a CycloneDX document by five standards"),
    ("sbom", "vulns"): ("sbom.cli_vulns", "vulns", "look known vulnerabilities up"),
    ("sbom", "bundle"): ("sbom.cli_vulns", "bundle", "pack advisories for a site without a network"),
    ("sbom", "policy"): ("sbom.cli_policy", "judge", "hold what ships to the policy"),
    ("sbom", "diff"): ("sbom.cli_policy", "diff", "what changed between two documents"),
    ("sbom", "vex"): ("sbom.cli_policy", "vex", "exchange decisions about vulnerabilities"),
    ("release", "build"): ("sbom.cli_release", "build", "bind a release and sign it"),
    ("release", "approve"): ("sbom.cli_release", "approve", "sign an approval of a release"),
    ("release", "verify"): ("sbom.cli_release", "verify", "verify a release and its approvals"),
    ("release", "show"): ("sbom.cli_release", "show", "what a record's release binds"),
    ("release", "evidence"): ("sbom.cli_page", "make", "make what a release is decided by, and bind it"),
    ("release", "page"): ("sbom.cli_page", "page", "make the release page anew, with its approvals"),
}

EXIT_ALTERED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNATTESTED: Final = 3
EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. What goes wrong in the world is one sentence on standard error, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if words else EXIT_USAGE
    for length in (2, 1):
        chosen = COMMANDS.get(tuple(words[:length]))
        if chosen is not None:
            return _run(chosen[0], chosen[1], words[length:])
    print(f"medai: no such command: {' '.join(words[:2])}\n\n{_usage()}", file=sys.stderr)
    return EXIT_USAGE


def _run(module: str, function: str, arguments: Sequence[str]) -> int:
    try:
        command: Command = getattr(import_module(module), function)
        return command(arguments)
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    except VerificationFailed as error:
        return _complain(error.code, error, EXIT_ALTERED)
    except Unattested as error:
        return _complain(error.code, error, EXIT_UNATTESTED)
    except (AuditError, ServiceError) as error:
        return _complain(error.code, error, EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python would complain once more at exit. Not 0: nobody was told
        # the verdict, and 0 would be one.
        sys.stderr.close()
        return EXIT_USAGE
    except OSError as error:
        # Python's own exit code for what nobody caught is 1, which here says that something was altered.
        return _complain("unusable", error, EXIT_USAGE)


def _complain(code: str, error: Exception, exit_code: int) -> int:
    print(f"medai: {code}: {error}", file=sys.stderr)
    return exit_code


def _usage() -> str:
    width = max(len(" ".join(words)) for words in COMMANDS)
    lines = [f"  medai {' '.join(words):<{width}}  {what}" for words, (_, _, what) in COMMANDS.items()]
    return "\n".join(["usage:", *lines, "", "medai COMMAND --help says more. State lives under MEDAI_HOME (.medai)."])
