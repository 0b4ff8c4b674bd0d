"""What the flow asks of the world. Implementations live in `service.adapters`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from service.domain.card import Card
from service.domain.messages import DecodedImage, Float32, Limits, MediaType, RuntimeIdentity

T = TypeVar("T")
Run = Callable[[Float32], Float32]
"""One preprocessed input [1, channels, rows, columns] to the model's raw output. Raises `InferenceFailed`."""


class Decoder(Protocol):
    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        """The one frame asked for, its header checked against `limits` before any pixel is decoded.

        `frame` counts from 1 (DICOM); None means the only one. Raises `MediaUnsupported`,
        `SyntaxUnsupported`, `ImageTooLarge`, `FrameInvalid` or `DecodeFailed`, or `Overloaded` where more
        frames wait for a decoder than may; nothing else.
        """
        ...


class Model(Protocol):
    """A loaded model whose digest and golden vectors were checked."""

    @property
    def card(self) -> Card: ...

    @property
    def runtime(self) -> RuntimeIdentity: ...

    async def compute(self, step: Callable[[Run], T]) -> T:
        """`step(run)` on one thread of the bounded inference pool: the caller's event loop is never held up.

        `run` is the model and may be called on that thread only. What `step` raises is raised here.
        """
        ...


class Models(Protocol):
    def find(self, wanted: str | None) -> Model:
        """`NAME` (its newest version), `NAME@VERSION`, or None where only one name is loaded.

        Raises `RequestInvalid` for any other grammar and for None among several, `ModelUnknown` where there is
        no such model.
        """
        ...

    def all(self) -> tuple[Model, ...]: ...
