"""In production the database is spoken to over TLS, and its certificate is held to a root and to its name.

`sslmode=require` encrypts to whoever answers; only `verify-full` knows who that is (PostgreSQL 32.19.1).
"""

from typing import Final

from psycopg import ProgrammingError, conninfo, pq

from audit.errors import SettingInvalid
from traceability.marks import implements

FULL: Final = "verify-full"


@implements("REQ-SEC-047")
def require(variable: str, url: str) -> None:
    """Returns where `url` leads to this machine's own socket, or verifies the server fully against a named root.

    The environment counts as libpq counts it (PGHOST, PGSSLMODE ...). Raises `SettingInvalid`, and does not repeat it.
    """
    try:
        given = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items()}
    except ProgrammingError:
        raise SettingInvalid(f"{variable}: it is not one that libpq reads; see PostgreSQL 32.1.1") from None
    defaults = {option.keyword.decode(): (option.val or b"").decode() for option in pq.Conninfo.get_defaults()}
    meant = {**defaults, **given}
    if meant.get("service"):
        raise SettingInvalid(f"{variable}: in production it says itself where the database is; name no service file")
    hosts = (meant.get("hostaddr") or meant.get("host") or "").split(",")
    if all(host == "" or host.startswith(("/", "@")) for host in hosts) and not meant.get("hostaddr"):
        return
    if meant.get("sslmode") != FULL or not meant.get("sslrootcert"):
        raise SettingInvalid(
            f"{variable}: in production it needs sslmode={FULL} and sslrootcert=FILE; less does not know who answers"
        )
