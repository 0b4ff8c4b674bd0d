import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle, tiles
from audit.errors import Malformed
from audit.tiles import ENTRIES, Tile
from tests import tile_client

pytestmark = pytest.mark.verifies("REQ-LOG-001")

LEVELS = st.integers(0, tiles.MAX_LEVEL) | st.just(ENTRIES)
TILES = st.builds(Tile, level=LEVELS, index=st.integers(0, merkle.MAX_SIZE >> 8), width=st.integers(1, 256))
SIZES = st.integers(0, 2_000) | st.integers(65_000, 70_000)


def _tile(level, index, width=256):
    return Tile(level=level, index=index, width=width)


# C2SP tlog-tiles, "Merkle Tree": the example of the index; the rest follows from its words.
PATHS = {
    "tile/0/x001/x234/067": _tile(0, 1_234_067),
    "tile/0/000": _tile(0, 0),
    "tile/0/999": _tile(0, 999),
    "tile/0/x001/000": _tile(0, 1_000),
    "tile/63/000.p/1": _tile(63, 0, 1),
    "tile/2/x123/456.p/255": _tile(2, 123_456, 255),
    "tile/entries/x001/x234/067": _tile(ENTRIES, 1_234_067),
    "tile/entries/000.p/112": _tile(ENTRIES, 0, 112),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_read_as_the_specification_says(path):
    assert tiles.parse(path) == PATHS[path]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_written_as_the_specification_says(path):
    assert tiles.format(PATHS[path]) == path


@given(TILES)
def test_a_path_that_was_written_is_read_back(tile):
    assert tiles.parse(tiles.format(tile)) == tile


@given(TILES)
def test_a_stranger_writes_the_same_path(tile):
    assert tile_client.path_of(tile.level, tile.index, tile.width) == tiles.format(tile)


@given(
    st.text("tile/0123456789xp.entris", max_size=30) | st.from_regex(r"tile/[0-9]+/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]+)?")
)
def test_a_path_that_is_read_is_the_one_that_would_be_written(path):
    try:
        tile = tiles.parse(path)
    except Malformed:
        return
    assert tiles.format(tile) == path


REFUSED = {
    "level-64": "tile/64/000",
    "level-100": "tile/100/000",
    "level-negative": "tile/-1/000",
    "level-with-leading-zero": "tile/00/000",
    "level-in-words": "tile/data/000",
    "level-missing": "tile/000",
    "index-of-one-digit": "tile/0/0",
    "index-of-two-digits": "tile/0/00",
    "index-of-four-digits": "tile/0/0000",
    "index-negative": "tile/0/-01",
    "index-with-needless-group": "tile/0/x000/067",
    "index-without-x": "tile/0/001/067",
    "index-with-x-in-the-last-group": "tile/0/x001/x067",
    "index-with-capital-x": "tile/0/X001/067",
    "index-of-eight-groups": "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
    "index-missing": "tile/0/",
    "width-zero": "tile/0/000.p/0",
    "width-256": "tile/0/000.p/256",
    "width-999": "tile/0/000.p/999",
    "width-1000": "tile/0/000.p/1000",
    "width-with-leading-zero": "tile/0/000.p/01",
    "width-negative": "tile/0/000.p/-1",
    "width-missing": "tile/0/000.p/",
    "width-mark-alone": "tile/0/000.p",
    "width-mark-in-capitals": "tile/0/000.P/1",
    "slash-before": "/tile/0/000",
    "slash-after": "tile/0/000/",
    "slash-twice": "tile/0//000",
    "newline-after": "tile/0/000\n",
    "space-before": " tile/0/000",
    "digits-of-another-script": "tile/0/\N{ARABIC-INDIC DIGIT ZERO}00",
    "height-of-the-older-layout": "tile/8/0/000",
    "escaped": "tile/0/%30%30%30",
    "dots": "tile/0/../0/000",
    "empty": "",
}


@pytest.mark.parametrize("path", REFUSED.values(), ids=REFUSED)
def test_a_path_in_another_form_is_refused(path):
    with pytest.raises(Malformed):
        tiles.parse(path)


@pytest.mark.parametrize("path", [None, 0, b"tile/0/000", ["tile/0/000"]], ids=repr)
def test_what_is_no_text_is_no_path(path):
    with pytest.raises(Malformed):
        tiles.parse(path)


def test_the_published_paths_are_read_and_written_as_published(third_party_vectors):
    # They are of the older layout tile/HEIGHT/LEVEL/...: bundles are `data`, and the full width is 2^HEIGHT.
    published = json.loads((third_party_vectors / "c2sp-tlog-tiles" / "tile_paths.json").read_text("utf-8"))["cases"]
    for case in published:
        _, height, rest = case["path"].split("/", 2)
        path = f"tile/{rest.replace('data/', 'entries/')}"
        if case.get("error"):
            with pytest.raises(Malformed):
                tiles.parse(path)
            continue
        is_full = case["W"] == 1 << int(height)
        wanted = _tile(ENTRIES if case["L"] == -1 else case["L"], case["N"], 256 if is_full else case["W"])
        assert (tiles.parse(path), tiles.format(wanted)) == (wanted, path)


def test_a_tree_of_70000_has_the_partial_tiles_that_the_specification_counts():
    # 273 full tiles of level 0 and one of level 1 stand before them.
    assert tiles.edge(70_000) == [_tile(2, 0, 1), _tile(1, 1, 17), _tile(0, 273, 112)]


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above_it():
    assert tiles.edge(256) == [_tile(1, 0, 1)]


def test_a_tree_of_nothing_has_no_tiles():
    assert tiles.edge(0) == []


@given(SIZES)
def test_the_partial_tiles_of_a_tree_are_those_that_a_stranger_expects(size):
    expected = [_tile(*named) for named in tile_client.tiles_of(size) if named[2] < 256]
    assert tiles.edge(size) == expected[::-1]


@given(SIZES)
def test_every_tile_that_a_stranger_expects_is_in_its_tree_and_in_no_smaller_one(size):
    made = [_tile(*named) for named in tile_client.tiles_of(size)]
    assert all(tiles.is_in(tile, size) for tile in made)
    assert not any(tiles.is_in(tile, tile.size - 1) for tile in made)


@given(SIZES, TILES)
def test_a_tile_is_in_a_tree_if_its_hashes_are_those_of_perfect_subtrees_of_it(size, tile):
    height = 0 if tile.level == ENTRIES else 8 * tile.level
    assert tiles.is_in(tile, size) is (tile.index * 256 + tile.width <= size >> height)


def test_entries_are_written_with_their_lengths_before_them():
    assert tiles.encode_entries([b"", b"abc", b"x" * 258]) == b"\x00\x00\x00\x03abc\x01\x02" + b"x" * 258


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entries_that_were_written_are_read_back(entries):
    assert list(tiles.decode_entries(tiles.encode_entries(entries))) == entries


@given(st.lists(st.binary(max_size=30), max_size=6), st.data())
def test_a_bundle_that_was_cut_has_fewer_entries_or_is_none(entries, data):
    bundle = tiles.encode_entries(entries)
    cut = bundle[: data.draw(st.integers(0, max(0, len(bundle) - 1)))]
    try:
        read = list(tiles.decode_entries(cut))
    except Malformed:
        return
    assert read == entries[: len(read)]


@given(st.binary(max_size=60))
def test_bytes_that_are_a_bundle_are_the_ones_that_would_be_written(body):
    try:
        entries = tiles.decode_entries(body)
    except Malformed:
        return
    assert tiles.encode_entries(entries) == body


def test_the_longest_entry_is_taken():
    assert tiles.decode_entries(tiles.encode_entries([b"x" * 65_535])) == (b"x" * 65_535,)


def test_an_entry_whose_length_two_bytes_cannot_say_is_refused():
    with pytest.raises(Malformed):
        tiles.encode_entries([b"x" * 65_536])


@pytest.mark.parametrize(
    "bundle", [None, "", [b"\x00\x00"], b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01ab", b"\xff\xff"]
)
def test_what_is_no_bundle_or_ends_within_an_entry_is_refused(bundle):
    with pytest.raises(Malformed):
        tiles.decode_entries(bundle)


def test_a_bundle_of_more_than_a_tile_is_refused():
    with pytest.raises(Malformed):
        tiles.decode_entries(b"\x00\x00" * 257)
