"""Become an unprivileged user, then run a program: PostgreSQL refuses root.

Run as a script by root (`python unprivileged.py UID GID CAPABILITY PROGRAM ARGUMENT...`), standard library
only. A checkout under a folder that only root may enter (mode 0700) would be out of reach of that user:
CAPABILITY, where it is not `none`, is the one that is kept across the change of user as an ambient
capability (capabilities(7)), so that no permission of any folder has to change. What is given up: the
server may then read what root may read, and its superuser's password is as good as root's eyes.
"""

import ctypes
import os
import sys

# include/uapi/linux/capability.h
CAPABILITIES = {"dac_override": 1, "dac_read_search": 2}
CAPABILITY_VERSION_3 = 0x20080522
# include/uapi/linux/prctl.h
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
# include/uapi/linux/securebits.h; without it access(2) forgets the capabilities of whoever is not root, and
# initdb asks access(2) whether it may run postgres.
SECBIT_NO_SETUID_FIXUP = 1 << 2


def main(arguments: list[str]) -> None:
    uid, gid, capability, program = int(arguments[0]), int(arguments[1]), arguments[2], arguments[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    if capability != "none":
        _checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        _checked(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability != "none":
        _keep_only(libc, CAPABILITIES[capability])
    _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    os.umask(0o077)
    os.execv(program[0], program)  # nosec B606  # the program is the caller's, no shell between


def _keep_only(libc: ctypes.CDLL, number: int) -> None:
    """Exactly one capability: permitted, effective and inheritable, and ambient, so that it outlives exec."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << number
    _checked(libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)))
    _checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
