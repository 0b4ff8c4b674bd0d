"""A filter on system calls for a decoding child (seccomp(2)): compute, read a job, write an answer, and end.

Should a hostile file take over a decoder, it has no way to open a file, a socket or another process. A call that
is not listed fails with EPERM. Numbers are from Linux's tables for x86-64 and arm64; on another architecture, or
where the kernel refuses filters, the child runs with its resource limits alone.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
# linux/bpf_common.h and linux/seccomp.h
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _FIRST_ARGUMENT_OFFSET = 0, 4, 16


class _Architecture(NamedTuple):
    audit: int  # linux/audit.h
    prlimit64: int
    allowed: tuple[int, ...]


# read write readv writev close fstat lseek mmap mprotect munmap brk mremap madvise rt_sigaction rt_sigprocmask
# rt_sigreturn sigaltstack restart_syscall sched_yield futex membarrier getrandom clock_gettime clock_getres getrusage
# getpid gettid exit exit_group
_X86_64: Final = "0 1 19 20 3 5 8 9 10 11 12 25 28 13 14 15 131 219 24 202 324 318 228 229 98 39 186 60 231"
_AARCH64: Final = (
    "63 64 65 66 57 80 62 222 226 215 214 216 233 134 135 139 132 128 124 98 283 278 113 114 165 172 178 93 94"
)
_ARCHITECTURES: Final = {
    "x86_64": _Architecture(audit=0xC000003E, prlimit64=302, allowed=tuple(map(int, _X86_64.split()))),
    "aarch64": _Architecture(audit=0xC00000B7, prlimit64=261, allowed=tuple(map(int, _AARCH64.split()))),
}


class _Program(ctypes.Structure):
    """struct sock_fprog (linux/filter.h)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine_calls(prctl: Callable[..., int]) -> None:
    """From here on this process can make the listed calls alone. Needs PR_SET_NO_NEW_PRIVS."""
    architecture = _ARCHITECTURES.get(os.uname().machine)
    if architecture is not None:
        filters = _filters(architecture)
        program = _Program(len(filters) // 8, filters)
        prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


def _filters(architecture: _Architecture) -> bytes:
    """struct sock_filter[]: each jump skips the one instruction after it where its test fails."""
    program = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
    ]
    for number in architecture.allowed:
        program += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program += [
        (_JUMP_EQUAL, 1, 0, architecture.prlimit64),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD_WORD, 0, 0, _FIRST_ARGUMENT_OFFSET),  # of itself only: 0 is this process
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
