"""What can go wrong in the tools that say what the product is made of.

SbomError
|- LockInvalid       a lock line that does not pin one file's worth of trust     lock_invalid
|- DocumentInvalid   a file that is not what it should be, with the place         document_invalid
|- FeedUnusable      advisories that are too old, too few or none               feed_unusable
|- EnvelopeInvalid   an envelope that is none, or that no trusted key signed      envelope_invalid
`- ReleaseInvalid    a release statement that does not bind what it must          release_invalid
"""

from typing import ClassVar


class SbomError(Exception):
    """An error with a stable code; the message names the line and what it should be."""

    code: ClassVar[str] = "sbom_error"


class LockInvalid(SbomError):
    code = "lock_invalid"


class DocumentInvalid(SbomError):
    code = "document_invalid"


class FeedUnusable(SbomError):
    code = "feed_unusable"


class EnvelopeInvalid(SbomError):
    code = "envelope_invalid"


class ReleaseInvalid(SbomError):
    code = "release_invalid"
