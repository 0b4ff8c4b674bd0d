"""What the flow asks of the world. Implementations live in `service.adapters`."""

from typing import Protocol

from service.domain.card import Card
from service.domain.messages import DecodedImage, Float32, Limits, MediaType, RuntimeIdentity


class Decoder(Protocol):
    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        """The one frame asked for, its header checked against `limits` before any pixel is decoded.

        `frame` counts from 1 (DICOM); None means the only one. Raises `MediaUnsupported`,
        `SyntaxUnsupported`, `ImageTooLarge`, `FrameInvalid` or `DecodeFailed`, and nothing else.
        """
        ...


class Model(Protocol):
    """A loaded model whose digest and golden vectors were checked."""

    @property
    def card(self) -> Card: ...

    @property
    def runtime(self) -> RuntimeIdentity: ...

    async def run(self, batch: Float32) -> Float32:
        """The raw output for one preprocessed input [1, channels, rows, columns]. Raises `InferenceFailed`."""
        ...


class Models(Protocol):
    def find(self, wanted: str | None) -> Model:
        """`NAME` (its newest version), `NAME@VERSION`, or None for the default. Raises `ModelUnknown`."""
        ...

    def all(self) -> tuple[Model, ...]: ...
