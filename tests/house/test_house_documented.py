import importlib
import re
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from audit import settings as audit_settings
from audit.errors import AuditError
from audit.witness import settings as witness_settings
from sbom.errors import SbomError
from service import cli
from service import settings as service_settings
from service.errors import ServiceError
from service.http import problems
from traceability.errors import TraceError

VARIABLE = re.compile(r"\bMEDAI_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
ROW = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)


def _tree(root):
    return {root} | {below for child in root.__subclasses__() for below in _tree(child)}


def _codes(root):
    return [error.code for error in _tree(root) if not error.__name__.startswith("_")]


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def errors_page(repository):
    return (repository / "docs" / "errors.md").read_text("utf-8")


@pytest.fixture(scope="module")
def variables(library_files):
    """Every variable that is read: those that the settings list, and those written out anywhere in the code."""
    found = {name for path in library_files for name in VARIABLE.findall(path.read_text("utf-8"))}
    written = {name for name in found if not name.endswith("_X")}  # docstrings write X for any name
    return written | set(audit_settings.VARIABLES) | set(service_settings.VARIABLES) | witness_settings.VARIABLES


def test_every_setting_that_is_read_is_in_the_readme(variables, readme):
    assert sorted(variables - set(VARIABLE.findall(readme))) == []


def test_every_setting_of_the_readme_is_read_somewhere(variables, readme):
    tests_own = {"MEDAI_TEST_VECTORS"}
    assert sorted(set(VARIABLE.findall(readme)) - variables - tests_own) == []


def _row(variable, default, bounds):
    return f"| `{variable}` | {f'`{default}`' if default != '' else ''} | {bounds} |"


def test_the_readme_gives_every_service_setting_its_default_and_its_bounds(readme):
    rows = [_row(row.variable, row.default, row.bounds) for row in service_settings.table()]
    assert [row for row in rows if row not in readme] == []


@pytest.mark.parametrize(
    "prefix, settings",
    [
        (audit_settings.PREFIX, audit_settings.LedgerSettings),
        (audit_settings.PUBLISH_PREFIX, audit_settings.PublishSettings),
        (audit_settings.WATCH_PREFIX, audit_settings.WatchSettings),
        (audit_settings.ENTRA_PREFIX, audit_settings.EntraSettings),
        (audit_settings.VAULT_PREFIX, audit_settings.VaultSettings),
        (witness_settings.PREFIX, witness_settings.WitnessSettings),
    ],
)
def test_the_readme_gives_every_setting_of_the_ledger_and_the_witness_its_default_and_its_bounds(
    prefix, settings, readme
):
    hints = get_type_hints(settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(settings):
        kind, bounds = hints[field.name], get_args(hints[field.name])
        if get_origin(kind) is Literal:
            allowed = ", ".join(bounds)
        else:
            allowed = f"{bounds[1].ge} to {bounds[1].le}" if bounds[0] is int else ""
        rows.append(_row(prefix + field.name.upper(), field.default, allowed))
    assert [row for row in rows if row not in readme] == []


@pytest.mark.parametrize("root", [AuditError, ServiceError, SbomError, TraceError])
def test_no_two_errors_of_a_tree_share_a_code(root):
    codes = _codes(root)
    assert sorted({code for code in codes if codes.count(code) > 1}) == []


@pytest.mark.parametrize("module", ["audit.errors", "service.errors", "sbom.errors", "traceability.errors"])
def test_every_error_stands_in_the_tree_that_its_module_draws(module):
    errors = importlib.import_module(module)
    classes = {
        name: value for name, value in vars(errors).items() if isinstance(value, type) and not name.startswith("_")
    }
    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


def test_the_page_of_errors_names_every_problem_with_its_status_and_title(errors_page):
    rows = [f"| `{code}` | {status} | {title} |" for code, (status, title) in problems.TABLE.items()]
    assert [row for row in rows if row not in errors_page] == []


def test_the_page_of_errors_names_no_code_that_does_not_exist(errors_page):
    known = {*problems.TABLE, *_codes(AuditError), *_codes(ServiceError), *_codes(SbomError), *_codes(TraceError)}
    assert sorted(set(ROW.findall(errors_page)) - known) == []


def test_the_page_of_errors_names_every_code_that_a_command_may_end_with(errors_page):
    codes = {*_codes(AuditError), *_codes(ServiceError), *_codes(SbomError), *_codes(TraceError)}
    roots = {AuditError.code, ServiceError.code, SbomError.code, TraceError.code}
    assert sorted(codes - roots - set(ROW.findall(errors_page))) == []


def test_the_readme_names_every_command(readme):
    commands = [" ".join(words) for words in cli.COMMANDS]
    assert [command for command in commands if f"medai {command}" not in readme] == []


def test_help_lists_every_command_that_scripts_rely_on(capsys):
    cli.main(["--help"])
    shown = capsys.readouterr().out
    promised = (
        "serve", "demo", "migrate", "ledger init", "token issue", "token list", "token revoke", "model list",
        "model verify", "audit key", "audit verify", "audit record",
    )  # fmt: skip
    assert [command for command in promised if f"medai {command} " not in shown] == []


def test_the_readme_begins_with_the_two_commands(readme):
    assert re.search(r"make demo.*\n.*make test", readme[:1200])
