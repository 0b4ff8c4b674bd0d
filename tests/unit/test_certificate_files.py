"""The public port's certificate: refused at the start where it cannot be used, renewed where it changes."""

import asyncio
import ssl

import pytest
from cryptography import x509

from service.adapters import certificate
from service.adapters.certificate import Certificate
from service.errors import SettingInvalid
from tests import certificates

pytestmark = pytest.mark.verifies("REQ-SEC-030")


@pytest.fixture
def path(tmp_path):
    return certificates.write(tmp_path / "tls.pem")


@pytest.fixture
def shown(path):
    return Certificate(path, path)


def served(context):
    """The serial number that a client of `context` is shown."""
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(theirs, ours, server_side=True)
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asks.check_hostname, asks.verify_mode = False, ssl.CERT_NONE
    client = asks.wrap_bio(ours, theirs)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_without_a_certificate_there_is_none():
    assert certificate.of("", "") is None


def test_one_file_holds_key_and_certificate(path):
    found = certificate.of(str(path), "")
    assert found is not None
    assert served(found.context) == certificates.serial(path)


def test_a_key_without_a_certificate_is_refused(path):
    with pytest.raises(SettingInvalid, match="of which certificate"):
        certificate.of("", str(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SettingInvalid, match="cannot be read"):
        Certificate(tmp_path / "none.pem", tmp_path / "none.pem")


def test_what_is_no_certificate_is_refused(path):
    path.write_text("nothing of the kind")
    with pytest.raises(SettingInvalid, match="not a private key and its certificate"):
        Certificate(path, path)


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = certificates.write(tmp_path / "tls.pem", mode=0o640)
    with pytest.raises(SettingInvalid, match="mode 0640; expected 0600"):
        Certificate(path, path)


def test_a_key_closed_with_a_password_is_refused(tmp_path):
    path = certificates.write(tmp_path / "tls.pem", password=b"nobody is there to say it")
    with pytest.raises(SettingInvalid, match="closed with a password"):
        Certificate(path, path)


def test_the_key_of_another_certificate_is_refused(path, tmp_path):
    other = certificates.write(tmp_path / "other.pem")
    with pytest.raises(SettingInvalid, match="KEY_VALUES_MISMATCH"):
        Certificate(path, other)


def test_no_message_shows_what_is_in_a_file(path):
    path.write_text("a private key's own words")
    with pytest.raises(SettingInvalid) as refused:
        Certificate(path, path)
    assert "own words" not in str(refused.value)


def test_older_versions_of_the_protocol_are_not_spoken(shown):
    assert shown.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_every_cipher_has_forward_secrecy_and_authenticates(shown):
    names = [each["name"] for each in shown.context.get_ciphers()]
    assert [name for name in names if not name.startswith(("TLS_", "ECDHE-"))] == []
    assert [name for name in names if "GCM" not in name and "POLY1305" not in name] == []


def test_what_did_not_change_is_not_read_again(shown):
    assert shown.renew() is False


def test_a_renewed_certificate_is_shown_to_who_comes_next(shown, path):
    before = served(shown.context)
    certificates.write(path)
    assert shown.renew() is True
    assert served(shown.context) == certificates.serial(path) != before


def test_a_renewal_that_is_broken_leaves_the_old_certificate(shown, path):
    before = served(shown.context)
    path.write_text("cut off")
    with pytest.raises(SettingInvalid, match="not renewed"):
        shown.renew()
    assert served(shown.context) == before


def test_a_renewal_whose_key_does_not_fit_leaves_the_old_certificate(path, tmp_path):
    key = certificates.write(tmp_path / "key.pem")
    path.write_bytes(key.read_bytes())
    shown = Certificate(path, key)
    before = served(shown.context)
    certificates.write(path)
    with pytest.raises(SettingInvalid, match="not renewed"):
        shown.renew()
    assert served(shown.context) == before


def test_a_broken_renewal_is_said_once(shown, path):
    path.write_text("cut off")
    with pytest.raises(SettingInvalid):
        shown.renew()
    assert shown.renew() is False


def test_what_is_gone_for_a_moment_leaves_the_old_certificate(shown, path):
    before = served(shown.context)
    path.unlink()
    with pytest.raises(SettingInvalid, match="cannot be read"):
        shown.renew()
    assert served(shown.context) == before


def test_each_change_is_said(shown, path):
    said: list[str] = []

    async def watched():
        looking = asyncio.create_task(certificate.renewing(shown, lambda code, _: said.append(code), 0.01))
        async with asyncio.timeout(60):
            path.write_text("cut off")
            while said != ["setting_invalid"]:
                await asyncio.sleep(0.01)
            certificates.write(path)
            while said != ["setting_invalid", "certificate_renewed"]:
                await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(watched())
    assert served(shown.context) == certificates.serial(path)
