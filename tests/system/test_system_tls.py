"""The public port with a certificate: TLS alone, renewed without a restart; the internal one is as before."""

import http.client
import json
import socket
import ssl

import pytest

from tests import certificates
from tests.system.running import HOST, eventually, serving

pytestmark = pytest.mark.system

RENEWED_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return certificates.write(tmp_path_factory.mktemp("tls") / "tls.pem")


@pytest.fixture(scope="module")
def server(pem, tmp_path_factory):
    settings = {"MEDAI_TLS_CERTIFICATE_FILE": str(pem)}
    with serving(tmp_path_factory.mktemp("serve") / "home", workers=1, settings=settings) as server:
        yield server


def trusting(pem):
    context = ssl.create_default_context(cafile=str(pem))
    context.check_hostname = False  # it is reached by its address here; the gateway knows its name
    return context


def asked(server, pem, method="GET", path="/version", body=None, headers=None):
    connection = http.client.HTTPSConnection(HOST, server.port, timeout=30, context=trusting(pem))
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_finding_is_given_over_tls(server, pem, ct_slice):
    headers = {"Authorization": f"Bearer {server.token('infer')}", "Content-Type": "application/dicom"}
    status, answer = asked(server, pem, "POST", "/infer", ct_slice, headers)
    assert (status, "ledger" in answer) == (200, True)


def test_plain_http_gets_no_answer_on_the_public_port(server):
    with socket.create_connection((HOST, server.port), timeout=30) as plain:
        plain.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        assert plain.recv(1) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")  # it is what is asked for here
def test_an_older_protocol_is_refused_by_the_service(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((HOST, server.port), timeout=30) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


def test_probes_ask_the_internal_port_as_before(server):
    assert server.internal("/readyz").status == 200


def test_the_start_prints_the_address_with_its_scheme(server):
    assert f"service        https://127.0.0.1:{server.port}" in server.said()


def test_a_renewed_certificate_is_shown_without_a_restart(server, pem):
    certificates.write(pem)

    def shown():
        try:
            return asked(server, pem)[0] == 200  # the client trusts the new certificate alone
        except ssl.SSLError:
            return False

    assert eventually(shown, RENEWED_WITHIN_S)


@pytest.mark.verifies("REQ-SEC-030")
def test_the_service_does_not_start_with_a_certificate_that_it_cannot_use(server, tmp_path):
    path = tmp_path / "tls.pem"
    path.write_text("nothing of the kind")
    path.chmod(0o600)
    refused = server.medai("serve", settings={"MEDAI_TLS_CERTIFICATE_FILE": str(path)})
    assert (refused.returncode, "setting_invalid: MEDAI_TLS_CERTIFICATE_FILE" in refused.stderr) == (2, True)
