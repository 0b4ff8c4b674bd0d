"""What can go wrong in the tools that say what the product is made of.

SbomError
`- LockInvalid   a lock line that does not pin one file's worth of trust   lock_invalid
"""

from typing import ClassVar


class SbomError(Exception):
    """An error with a stable code; the message names the line and what it should be."""

    code: ClassVar[str] = "sbom_error"


class LockInvalid(SbomError):
    code = "lock_invalid"
