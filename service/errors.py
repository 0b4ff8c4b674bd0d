"""What can go wrong in the service, each with a stable code; `service.http.problems` maps codes to HTTP.

    ServiceError
    |- Unauthenticated        no token, or none that is known        unauthenticated
    |- Forbidden              a token without the scope              forbidden
    |- RequestInvalid         a parameter or part is wrong           request_invalid
    |- BodyTooLarge           more bytes than the limit              body_too_large
    |- BodyTimeout            the body did not arrive in time        body_timeout
    |- MediaUnsupported       not a DICOM, PNG or JPEG we read       media_unsupported
    |- SyntaxUnsupported      a DICOM transfer syntax we do not read transfer_syntax_unsupported
    |- ImageTooLarge          more pixels, frames or inflated bytes  image_too_large
    |- DecodeFailed           bytes that are not an image            decode_failed
    |- FrameInvalid           a frame is needed, or is not there     frame_invalid
    |- IntendedUse            outside what the model's card admits   outside_intended_use
    |- ModelUnknown           no such model                          model_unknown
    |- RateLimited            this caller asks too often or too much rate_limited
    |- Overloaded             the queue is full                      overloaded
    |- Draining               the process is about to stop           draining
    |- SecretsUnavailable     the secrets cannot be confirmed        secrets_unavailable
    |- NotSigned              no signed checkpoint covers it yet     not_signed
    |- NotInTree              the tree of that size does not have it not_in_tree
    |- LogUnavailable         the log cannot be read now             log_unavailable
    |- InferenceFailed        the model could not be run             inference_failed
    |- ModelRejected          digest, card or golden vector differs  model_rejected
    |- ReleaseRejected        what runs is not the release           release_rejected
    `- SettingInvalid         a setting that cannot be obeyed        setting_invalid

A message may name limits, tags and what to do; it never repeats a value from the input.
"""

from typing import ClassVar


class ServiceError(Exception):
    """An error with a stable code; `retry_after_s` where trying again makes sense."""

    code: ClassVar[str] = "service_error"
    retry_after_s: int | None = None


class Unauthenticated(ServiceError):
    code = "unauthenticated"


class Forbidden(ServiceError):
    code = "forbidden"


class RequestInvalid(ServiceError):
    code = "request_invalid"


class BodyTooLarge(ServiceError):
    code = "body_too_large"


class BodyTimeout(ServiceError):
    code = "body_timeout"


class MediaUnsupported(ServiceError):
    code = "media_unsupported"


class SyntaxUnsupported(ServiceError):
    code = "transfer_syntax_unsupported"


class ImageTooLarge(ServiceError):
    code = "image_too_large"


class DecodeFailed(ServiceError):
    code = "decode_failed"


class FrameInvalid(ServiceError):
    code = "frame_invalid"


class IntendedUse(ServiceError):
    code = "outside_intended_use"


class ModelUnknown(ServiceError):
    code = "model_unknown"


class _Later(ServiceError):
    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(_Later):
    code = "rate_limited"


class Overloaded(_Later):
    code = "overloaded"


class Draining(_Later):
    code = "draining"


class SecretsUnavailable(_Later):
    code = "secrets_unavailable"


class NotSigned(ServiceError):
    code = "not_signed"


class NotInTree(ServiceError):
    code = "not_in_tree"


class LogUnavailable(_Later):
    code = "log_unavailable"


class InferenceFailed(ServiceError):
    code = "inference_failed"


class ModelRejected(ServiceError):
    code = "model_rejected"


class ReleaseRejected(ServiceError):
    code = "release_rejected"


class SettingInvalid(ServiceError):
    code = "setting_invalid"
