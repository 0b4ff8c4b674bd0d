"""A DICOM file to one frame of samples and everything that its header says of them.

`read_header` checks and finds; nothing is decoded until it has returned. Native pixels are then read here, in
the parent; compressed ones go to a child process as a `CompressedFrame`, which holds no identifier.
"""

import hashlib
from typing import Final

from msgspec import Struct

from service.adapters import images_attributes, images_frames, images_grey, images_pixels
from service.adapters.images_attributes import PixelLayout
from service.adapters.images_codestreams import check_claims
from service.adapters.images_elements import MAX_ELEMENTS, Part10, read_part10
from service.adapters.images_syntaxes import NATIVE, PLUGINS, known_name
from service.domain.messages import Array, DecodedImage, Limits
from service.errors import DecodeFailed, SyntaxUnsupported
from traceability.marks import implements

_WANTED: Final = images_attributes.WANTED | images_grey.WANTED | images_frames.WANTED | images_pixels.WANTED


class CompressedFrame(Struct, frozen=True, kw_only=True):
    """All that a child process is told: the syntax, the layout and one frame's bytes."""

    syntax: str
    layout: PixelLayout
    frame: bytes


class Header(Struct, frozen=True, kw_only=True):
    """A file that passed every check that needs no pixel."""

    part10: Part10
    layout: PixelLayout
    frames: int
    frame: int
    asked: int | None
    grey: images_grey.GreyPath

    @property
    def compressed(self) -> bool:
        return self.part10.transfer_syntax in PLUGINS


@implements("REQ-INF-029")
def read_header(body: bytes, asked: int | None, limits: Limits, *, max_elements: int = MAX_ELEMENTS) -> Header:
    """The header, within the limits, and the frame to decode. Raises what `Decoder.decode` may raise."""
    part10 = read_part10(body, _WANTED, max_inflated_bytes=limits.max_inflated_bytes, max_elements=max_elements)
    syntax, elements = part10.transfer_syntax, part10.elements
    if syntax not in NATIVE and syntax not in PLUGINS:
        name = known_name(syntax)
        raise SyntaxUnsupported(f"The transfer syntax {name or 'is not in the DICOM dictionary: it'} is not read.")
    if images_frames.PIXEL_DATA not in elements.places:
        if {images_frames.FLOAT_PIXELS, images_frames.DOUBLE_PIXELS} & elements.places.keys():
            raise DecodeFailed("Float Pixel Data (7FE0,0008) and (7FE0,0009) are not read.")
        raise DecodeFailed("The file has no Pixel Data (7FE0,0010): it is not an image.")
    layout = images_attributes.pixel_layout(elements, limits)
    images_pixels.check_colour(layout, syntax)
    frames = images_attributes.frame_count(elements, limits)
    frame = images_attributes.chosen_frame(frames, asked)
    modality = images_attributes.text(elements.value(images_attributes.MODALITY))
    grey = images_grey.grey_path(elements, part10.walk, frame=frame, signed=bool(layout.signed), modality=modality)
    return Header(part10=part10, layout=layout, frames=frames, frame=frame, asked=asked, grey=grey)


def compressed_frame(header: Header) -> CompressedFrame:
    """The asked frame's bytes, once their own claims agree with the header."""
    syntax, elements, walk = header.part10.transfer_syntax, header.part10.elements, header.part10.walk
    frame = images_frames.encapsulated_frame(elements, walk, frame=header.frame, frames=header.frames)
    check_claims(frame, header.layout, syntax)
    return CompressedFrame(syntax=syntax, layout=header.layout, frame=frame)


def native_samples(header: Header) -> Array:
    """The asked frame of native pixels."""
    elements, layout = header.part10.elements, header.layout
    pixels = images_frames.native_pixels(elements, frame_bits=images_pixels.frame_bits(layout), frames=header.frames)
    vr = elements.places[images_frames.PIXEL_DATA].vr
    return images_pixels.native_samples(pixels, layout, header.part10.transfer_syntax, frame=header.frame, vr=vr)


@implements("REQ-INF-033")
def finished(header: Header, samples: Array) -> DecodedImage:
    """The message for the flow: colour as RGB, and the digest of the samples."""
    layout, elements, grey = header.layout, header.part10.elements, header.grey
    if layout.photometric == "PALETTE COLOR":
        samples = images_pixels.palette_rgb(samples, elements, signed=bool(layout.signed))
    return DecodedImage(
        media_type="application/dicom",
        transfer_syntax=header.part10.transfer_syntax,
        modality=images_attributes.text(elements.value(images_attributes.MODALITY))[:16] or None,
        photometric="MONOCHROME1"
        if layout.photometric == "MONOCHROME1"
        else "MONOCHROME2"
        if samples.ndim == 2
        else "RGB",
        bits_stored=8 * samples.itemsize if layout.photometric == "PALETTE COLOR" else layout.bits_stored,
        frame=header.asked,
        frames=header.frames,
        stored=samples,
        pixels_sha256=hashlib.sha256(samples.data).hexdigest(),
        rescale_slope=grey.slope,
        rescale_intercept=grey.intercept,
        modality_lut=grey.modality_lut,
        units_known=grey.units_known,
        voi_window=grey.voi_window,
        voi_lut=grey.voi_lut,
        patient=images_attributes.identifier(elements, images_attributes.PATIENT_ID),
        study=images_attributes.identifier(elements, images_attributes.STUDY_UID),
    )
