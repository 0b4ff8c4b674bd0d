"""Certificates for tests, made here and trusted nowhere else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "service.example"


def write(path: Path, *, password: bytes | None = None, mode: int = 0o600) -> Path:
    """A new key and its own certificate for `NAME`, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    closed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    body = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, closed)
    body += certificate.public_bytes(serialization.Encoding.PEM)
    # As a vault's volume is brought: a file under another name, put in place in one step.
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(body)
    new.chmod(mode)
    new.replace(path)
    return path


def serial(path: Path) -> int:
    """Of the certificate in `path`."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number
