"""Whom the pods log in to the database as, and whose callers they take: identities of Entra, and no password."""

import re

import pytest
from psycopg import conninfo

from audit import settings as ledger_settings
from audit.postgres import verified
from audit.secrets_configured import DATABASES
from tests.system.kubernetes.manifests import (
    containers,
    kustomize,
    platform_of,
    pods,
    said,
    service_container,
)

pytestmark = pytest.mark.system


# ---- the database


def connections(objects):
    """What each container that connects is told, with its own words put into its URLs as the kubelet puts them."""
    words = platform_of(objects)
    for name, each in containers(objects):
        env = {
            one["name"]: one["value"] if "value" in one else words[one["valueFrom"]["configMapKeyRef"]["key"]]
            for one in each.get("env", ())
        }
        for variable in DATABASES:
            if variable in env:
                url = env[variable]
                while found := re.search(r"\$\((\w+)\)", url):
                    url = url.replace(found[0], env[found[1]])
                yield name, variable, url, env


def test_every_connection_to_the_database_verifies_whom_it_speaks_to(objects):
    assert len([verified.require(variable, url) for _, variable, url, _ in connections(objects)]) == 9


def test_the_root_that_the_database_is_verified_with_is_there(objects):
    roots = {conninfo.conninfo_to_dict(url)["sslrootcert"] for _, _, url, _ in connections(objects)}
    assert roots == {"/etc/medai/database-ca/ca.pem"}
    for name, each in containers(objects):
        if "MEDAI_DATABASE_URL" in said(each):
            mounted = {mount["name"]: mount["mountPath"] for mount in each["volumeMounts"]}
            assert mounted["database-ca"] == "/etc/medai/database-ca", name


def test_no_connection_to_the_database_has_a_password_or_a_file_of_them(objects):
    given = [conninfo.conninfo_to_dict(url) for _, _, url, _ in connections(objects)]
    assert [each for each in given if {"password", "passfile"} & {*each}] == []


def test_every_connection_logs_in_with_a_token_of_the_pods_identity(objects):
    assert {env["MEDAI_ENTRA_DATABASE"] for _, _, _, env in connections(objects)} == {"yes"}


def test_no_password_of_the_database_is_brought_from_the_vault(objects):
    listed = [each["spec"]["parameters"]["objects"] for each in objects if each["kind"] == "SecretProviderClass"]
    assert re.findall("pgpass|password", "".join(listed)) == []


def test_only_the_service_gets_anything_from_the_vault(objects):
    holders = {name for name, pod in pods(objects) for volume in pod["spec"]["volumes"] if "csi" in volume}
    assert holders == {"medai-flow"}


@pytest.mark.parametrize("login", ["medai_admin", "medai_writer", "medai_reader"])
def test_each_login_is_made_a_role_of_its_identity_by_the_statements_of_the_manual(repository, objects, login):
    manual = (repository / "deploy" / "README.md").read_text("utf-8")
    (identity,) = re.findall(
        rf"pgaadauth_create_principal_with_oid\('{login}', +'(\w+)', 'service', false, false\)", manual
    )
    assert login in platform_of(objects).values()
    assert f'output "{identity}"' in (repository / "terraform" / "outputs.tf").read_text("utf-8")


# ---- who calls


def test_callers_of_entra_are_taken_from_the_environments_tenant_for_its_application(objects):
    env = {one["name"]: one for one in service_container(objects)["env"]}
    named = {
        variable: env[variable]["valueFrom"]["configMapKeyRef"]["key"]
        for variable in ("MEDAI_ENTRA_TENANT_ID", "MEDAI_ENTRA_AUDIENCE")
    }
    assert named == {"MEDAI_ENTRA_TENANT_ID": "CALLERS_TENANT_ID", "MEDAI_ENTRA_AUDIENCE": "CALLERS_AUDIENCE"}


def test_without_a_tenant_of_callers_opaque_tokens_alone_are_taken(repository):
    words = platform_of(kustomize(repository / "deploy" / "overlays" / "dev"))
    given = {"MEDAI_ENTRA_TENANT_ID": words["CALLERS_TENANT_ID"], "MEDAI_ENTRA_AUDIENCE": words["CALLERS_AUDIENCE"]}
    assert not ledger_settings.entra_settings(given).tenant_id


@pytest.mark.parametrize("place", ["staging", "production"])
def test_where_it_counts_somebody_has_to_say_who_may_call(repository, place):
    words = platform_of(kustomize(repository / "deploy" / "overlays" / place))
    assert {words["CALLERS_TENANT_ID"], words["CALLERS_AUDIENCE"]} == {"00000000-0000-0000-0000-000000000000"}
