"""What can go wrong in the tool that proves traces. None of these is a finding: they say that nothing could be judged.

TraceError
|- RequirementInvalid   a file of requirements that cannot be read as one    requirement_invalid
|- ConfigurationInvalid a `[tool.medai.trace]` that cannot be obeyed         trace_setting_invalid
|- SourceInvalid        a source file that cannot be parsed                  source_invalid
|- MutantsImpossible    the claiming tests cannot be run on changed code   mutants_impossible
|- EvidenceMissing      no test run has left its results                     evidence_missing
|- EvidenceInvalid      results or coverage that are not in their format     evidence_invalid
|- ReviewInvalid        a file of reviews that cannot be read as one         review_invalid
`- ReviewRefused        a review that may not be made, or not by this person review_refused
"""

from typing import ClassVar


class TraceError(Exception):
    """An error with a stable code; the message names file, line, and what to write instead."""

    code: ClassVar[str] = "trace_error"


class RequirementInvalid(TraceError):
    code = "requirement_invalid"


class ConfigurationInvalid(TraceError):
    code = "trace_setting_invalid"


class SourceInvalid(TraceError):
    code = "source_invalid"


class EvidenceMissing(TraceError):
    code = "evidence_missing"


class EvidenceInvalid(TraceError):
    code = "evidence_invalid"


class ReviewInvalid(TraceError):
    code = "review_invalid"


class ReviewRefused(TraceError):
    code = "review_refused"


class MutantsImpossible(TraceError):
    code = "mutants_impossible"
