"""Our own vectors of trees, tiles, checkpoints and canonical JSON: each file is judged as its folder says."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from audit import canonical, checkpoint, merkle, tiles
from audit.errors import ConsistencyInvalid, InclusionInvalid, Malformed

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "audit"


def files(*folders):
    found = sorted(path for folder in folders for path in (VECTORS / folder).iterdir())
    return pytest.mark.parametrize("path", found, ids=[path.stem for path in found])


def members(path):
    """The members of a case; hashes as bytes, whatever is no list of hashes as it stands."""
    case = json.loads(path.read_bytes())
    for name in case.keys() & {"leaf_hash", "root", "old_root", "new_root", "bundle"}:
        case[name] = b64decode(case[name], validate=True)
    for name in case.keys() & {"path", "leaf_hashes", "entries"}:
        case[name] = (
            [b64decode(one, validate=True) for one in case[name]] if isinstance(case[name], list) else case[name]
        )
    return case


@files("root/found")
def test_the_root_of_a_tree_is_found(path):
    case = members(path)
    assert merkle.root(case["leaf_hashes"]) == case["root"]


@files("inclusion/included")
def test_an_inclusion_proof_is_verified(path):
    assert merkle.verify_inclusion(**members(path)) is None


@files("inclusion/refused")
def test_a_mutated_inclusion_proof_is_refused(path):
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(**members(path))


@files("consistency/consistent")
def test_a_consistency_proof_is_verified(path):
    assert merkle.verify_consistency(**members(path)) is None


@files("consistency/refused")
def test_a_mutated_consistency_proof_is_refused(path):
    with pytest.raises(ConsistencyInvalid):
        merkle.verify_consistency(**members(path))


@files("tile-path/read")
def test_a_tile_path_is_read_and_written(path):
    case = members(path)
    tile = tiles.Tile(level=case["level"], index=case["index"], width=case["width"])
    assert tiles.parse(case["path"]) == tile
    assert tiles.format(tile) == case["path"]


@files("tile-path/refused")
def test_a_mutated_tile_path_is_refused(path):
    with pytest.raises(Malformed):
        tiles.parse(members(path)["path"])


@files("entry-bundle/read")
def test_an_entry_bundle_is_read_and_written(path):
    case = members(path)
    assert list(tiles.decode_entries(case["bundle"])) == case["entries"]
    assert tiles.encode_entries(case["entries"]) == case["bundle"]


@files("entry-bundle/refused")
def test_a_mutated_entry_bundle_is_refused(path):
    with pytest.raises(Malformed):
        tiles.decode_entries(members(path)["bundle"])


@files("checkpoint/read")
def test_a_checkpoint_is_read_and_written(path):
    text = path.read_bytes().decode("utf-8")
    assert checkpoint.format(checkpoint.parse(text)) == text


@files("checkpoint/refused")
def test_a_mutated_checkpoint_is_refused(path):
    with pytest.raises(Malformed):
        checkpoint.parse(path.read_bytes().decode("utf-8"))


@files("canonical/read")
def test_a_canonical_value_is_read_and_written(path):
    body = path.read_bytes()
    assert canonical.encode(canonical.decode(body)) == body


@files("canonical/refused")
def test_another_form_of_a_value_is_refused(path):
    with pytest.raises(Malformed):
        canonical.decode(path.read_bytes())
