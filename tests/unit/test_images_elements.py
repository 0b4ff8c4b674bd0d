"""The walk over data elements: bounded in count, depth and size, and sure of what it found."""

import struct
import tracemalloc
import zlib

import pytest

from service.adapters.images_elements import MAX_DEPTH, MAX_ELEMENTS, read_part10
from service.errors import DecodeFailed, ImageTooLarge, MediaUnsupported

ROWS = 0x00280010
META = b"\x02\x00\x10\x00UI"
EXPLICIT, IMPLICIT, BIG = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.2\0"
DEFLATED = b"1.2.840.10008.1.2.1.99"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED = b"\xff\xff\xff\xff"
ROWS_7 = b"\x28\x00\x10\x00US\x02\x00\x07\x00"


def file(content: bytes, syntax: bytes = EXPLICIT, *, preamble: bytes = bytes(128) + b"DICM") -> bytes:
    return preamble + META + struct.pack("<H", len(syntax)) + syntax + content


def rows(body: bytes, *, max_inflated_bytes: int = 1 << 20) -> bytes:
    return read_part10(body, frozenset({ROWS}), max_inflated_bytes=max_inflated_bytes).elements.value(ROWS)


def sequence(content: bytes) -> bytes:
    """An explicit sequence of undefined length with one item of undefined length."""
    return b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + content + ITEM_END + SEQUENCE_END


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = sequence(content)
    return content


def test_an_element_after_a_nested_sequence_is_found() -> None:
    assert rows(file(nested(5) + ROWS_7)) == b"\x07\x00"


def test_an_element_within_a_sequence_is_not_the_images_own() -> None:
    assert rows(file(sequence(ROWS_7))) == b""


def test_an_unknown_value_of_undefined_length_is_skipped_as_an_implicit_sequence() -> None:
    content = ITEM + UNDEFINED + b"\x09\x00\x10\x00" + struct.pack("<L", 4) + b"abcd" + ITEM_END + SEQUENCE_END
    assert rows(file(b"\x09\x00\x01\x10UN\0\0" + UNDEFINED + content + ROWS_7)) == b"\x07\x00"


def test_an_explicit_file_that_is_really_implicit_is_read_as_implicit() -> None:
    assert rows(file(b"\x28\x00\x10\x00" + struct.pack("<L", 2) + b"\x07\x00", EXPLICIT)) == b"\x07\x00"


def test_an_implicit_file_that_is_really_explicit_is_read_as_explicit() -> None:
    assert rows(file(ROWS_7, IMPLICIT)) == b"\x07\x00"


def test_a_big_endian_file_is_read() -> None:
    assert rows(file(b"\x00\x28\x00\x10US\x00\x02\x00\x07", BIG)) == b"\x00\x07"


def test_a_deflated_file_is_inflated() -> None:
    deflater = zlib.compressobj(wbits=-15)
    assert rows(file(deflater.compress(ROWS_7) + deflater.flush(), DEFLATED)) == b"\x07\x00"


def test_a_file_without_preamble_is_read() -> None:
    assert rows(file(ROWS_7, preamble=b"")) == b"\x07\x00"


def test_a_file_without_transfer_syntax_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="0002,0010"):
        rows(bytes(128) + b"DICM" + ROWS_7)


def test_bytes_that_are_not_dicom_are_refused() -> None:
    with pytest.raises(DecodeFailed):
        rows(b"nothing of the kind")


def test_a_png_called_dicom_is_unsupported() -> None:
    with pytest.raises(MediaUnsupported):
        rows(b"\x89PNG\r\n\x1a\n")


def test_an_element_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="0028,0010"):
        rows(file(ROWS_7 + ROWS_7))


def test_an_element_longer_than_the_file_is_refused() -> None:
    with pytest.raises(DecodeFailed):
        rows(file(b"\x10\x00\x10\x00LO\xff\x7fshort"))


def test_a_value_without_a_length_is_refused() -> None:
    with pytest.raises(DecodeFailed):
        rows(file(b"\x28\x00\x10\x00" + UNDEFINED + SEQUENCE_END, IMPLICIT))


@pytest.mark.verifies("REQ-SEC-016")
def test_sequences_nested_as_deep_as_allowed_are_skipped() -> None:
    assert rows(file(nested(MAX_DEPTH // 2) + ROWS_7)) == b"\x07\x00"


@pytest.mark.verifies("REQ-SEC-016")
def test_sequences_nested_ten_thousand_deep_are_refused() -> None:
    with pytest.raises(DecodeFailed, match="nested"):
        rows(file(nested(10_000)))


@pytest.mark.verifies("REQ-SEC-016")
def test_a_file_of_a_million_elements_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match=str(MAX_ELEMENTS)):
        rows(file(b"\x09\x00\x01\x10LO\x00\x00" * 1_000_000))


@pytest.mark.verifies("REQ-SEC-016")
def test_a_file_of_a_million_empty_items_is_refused() -> None:
    content = b"\x08\x00\x40\x11SQ\0\0" + UNDEFINED + (ITEM + bytes(4)) * 1_000_000
    with pytest.raises(ImageTooLarge, match=str(MAX_ELEMENTS)):
        rows(file(content + SEQUENCE_END))


@pytest.mark.verifies("REQ-INF-027")
def test_a_deflate_bomb_is_refused_without_memory_for_what_it_holds() -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    bomb = file(b"".join(deflater.compress(bytes(1 << 20)) for _ in range(400)) + deflater.flush(), DEFLATED)
    assert len(bomb) < 500_000
    tracemalloc.start()
    with pytest.raises(ImageTooLarge):
        rows(bomb)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_a_deflated_file_cut_short_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-15)
    whole = deflater.compress(ROWS_7 * 50) + deflater.flush()
    with pytest.raises(DecodeFailed):
        rows(file(whole[:-4], DEFLATED))


def test_no_message_repeats_a_value_from_the_file() -> None:
    with pytest.raises(DecodeFailed) as error:
        rows(file(b"\x10\x00\x10\x00PN\x06\x00DOE^JX\x28\x00\x10\x00US\x99\x00"))
    assert "DOE" not in str(error.value)
