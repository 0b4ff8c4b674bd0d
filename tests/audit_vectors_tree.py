"""Roots, inclusion and consistency proofs, tile paths, entry bundles, checkpoints and canonical JSON.

Each as it must be, and with one mutation: as JSON with hashes and bytes in base64, but for checkpoints and canonical
JSON, which are files as they stand.
"""

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

from audit import canonical, checkpoint, merkle, tiles
from audit.checkpoint import Checkpoint

LEAVES = [merkle.leaf_hash(b"record %d" % at) for at in range(13)]
STRANGE = merkle.leaf_hash(b"a record of another log")
NODES = {
    (height, index): merkle.root(LEAVES[index << height : (index + 1) << height])
    for height in range(4)
    for index in range(13 >> height)
}


def tree() -> dict[str, bytes]:
    """Path below the folder of the vectors -> content. The second folder says what is to be made of it."""
    made: dict[str, object] = {f"root/found/{name}": value for name, value in roots().items()}
    for kind, verdict, accepted, mutations in (
        ("inclusion", "included", included(), not_included()),
        ("consistency", "consistent", consistent(), not_consistent()),
        ("tile-path", "read", paths(), no_paths()),
        ("entry-bundle", "read", bundles(), no_bundles()),
    ):
        made |= {f"{kind}/{verdict}/{name}": value for name, value in accepted.items()}
        made |= {f"{kind}/refused/{name}": value for name, value in mutations.items()}
    encoded = {f"{path}.json": _json(value) for path, value in made.items()}
    for verdict, texts in (("read", checkpoints()), ("refused", no_checkpoints())):
        encoded |= {f"checkpoint/{verdict}/{name}.txt": text for name, text in texts.items()}
    for verdict, bodies in (("read", values()), ("refused", no_values())):
        encoded |= {f"canonical/{verdict}/{name}.bytes": body for name, body in bodies.items()}
    return encoded


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=lambda body: b64encode(body).decode("ascii")).encode() + b"\n"


def root(size: int) -> bytes:
    return merkle.root(LEAVES[:size])


def roots() -> dict[str, Any]:
    return {f"tree-of-{size}": {"leaf_hashes": LEAVES[:size], "root": root(size)} for size in (0, 1, 2, 3, 7, 8, 13)}


# -- inclusion


def inclusion(index: int, size: int) -> dict[str, Any]:
    path = merkle.inclusion_path(index, size, lambda height, at: NODES[height, at])
    return {"leaf_hash": LEAVES[index], "index": index, "size": size, "path": list(path), "root": root(size)}


def included() -> dict[str, Any]:
    return {
        "untouched": inclusion(5, 13),
        "tree-of-one": inclusion(0, 1),
        "first-of-the-tree": inclusion(0, 13),
        "last-of-the-tree": inclusion(12, 13),
        "last-of-a-perfect-tree": inclusion(7, 8),
        "only-leaf-of-a-half": inclusion(8, 9),
    }


def not_included() -> dict[str, Any]:
    case = inclusion(5, 13)
    path, right = case["path"], inclusion(12, 13)
    inner = merkle.node_hash(LEAVES[4], LEAVES[5])
    return {
        "leaf-changed": case | {"leaf_hash": STRANGE},
        "leaf-of-the-record-beside": case | {"leaf_hash": LEAVES[4]},
        "leaf-is-a-node": case | {"leaf_hash": inner, "path": path[1:]},
        "leaf-of-31-bytes": case | {"leaf_hash": case["leaf_hash"][:31]},
        "leaf-empty": case | {"leaf_hash": b""},
        "index-plus-one": case | {"index": 6},
        "index-minus-one": case | {"index": 4},
        "index-negative": case | {"index": -1},
        "index-is-size": case | {"index": 13},
        "index-plus-size": case | {"index": 18},
        "index-plus-two-to-the-64": case | {"index": 5 + 2**64},
        "index-is-true": inclusion(1, 2) | {"index": True},
        "index-as-text": case | {"index": "5"},
        "size-zero": case | {"size": 0},
        "size-negative": case | {"size": -13},
        "size-of-a-smaller-tree": case | {"size": 8},
        "size-of-a-larger-tree": case | {"size": 17},
        "size-plus-two-to-the-64": case | {"size": 13 + 2**64},
        "size-is-true": inclusion(0, 1) | {"size": True},
        "path-empty": case | {"path": []},
        "path-null": inclusion(0, 1) | {"path": None},
        "path-as-text": inclusion(0, 1) | {"path": ""},
        "path-cut-at-start": case | {"path": path[1:]},
        "path-cut-at-end": case | {"path": path[:-1]},
        "path-longer-at-start": case | {"path": [STRANGE, *path]},
        "path-longer-at-end": case | {"path": [*path, STRANGE]},
        "path-longer-by-the-root": case | {"path": [*path, case["root"]]},
        "path-of-64-hashes": case | {"path": [STRANGE] * 64},
        "path-reversed": case | {"path": path[::-1]},
        "path-first-hash-changed": case | {"path": [STRANGE, *path[1:]]},
        "path-last-hash-changed": case | {"path": [*path[:-1], STRANGE]},
        "path-hashes-swapped": case | {"path": [path[1], path[0], *path[2:]]},
        "path-hash-of-31-bytes": case | {"path": [path[0][:31], *path[1:]]},
        "path-hash-of-64-bytes": case | {"path": [path[0] * 2, *path[1:]]},
        "path-two-hashes-in-one": case | {"path": [path[0] + path[1], *path[2:]]},
        "path-of-another-record": case | {"path": right["path"]},
        "path-where-none-is-needed": inclusion(0, 1) | {"path": [STRANGE]},
        "root-changed": case | {"root": STRANGE},
        "root-of-a-smaller-tree": case | {"root": root(12)},
        "root-is-the-leaf": case | {"root": case["leaf_hash"], "path": []},
        "root-of-31-bytes": case | {"root": case["root"][:31]},
        "root-empty": case | {"root": b""},
    }


# -- consistency


def consistency(old: int, new: int) -> dict[str, Any]:
    path = merkle.consistency_path(old, new, lambda height, at: NODES[height, at])
    return {"old_size": old, "old_root": root(old), "new_size": new, "new_root": root(new), "path": list(path)}


def consistent() -> dict[str, Any]:
    return {
        "untouched": consistency(6, 13),
        "from-one-record": consistency(1, 13),
        "from-a-perfect-tree": consistency(8, 13),
        "by-one-record": consistency(12, 13),
        "same-size": consistency(13, 13),
        "from-the-empty-tree": consistency(0, 13),
        "empty-tree-to-itself": consistency(0, 0),
    }


def not_consistent() -> dict[str, Any]:
    case, perfect = consistency(6, 13), consistency(8, 13)
    path = case["path"]
    return {
        "sizes-swapped": case | {"old_size": 13, "new_size": 6},
        "roots-swapped": case | {"old_root": case["new_root"], "new_root": case["old_root"]},
        "all-swapped": {**consistency(6, 13), "old_size": 13, "old_root": root(13), "new_size": 6, "new_root": root(6)},
        "old-size-plus-one": case | {"old_size": 7},
        "old-size-minus-one": case | {"old_size": 5},
        "old-size-negative": case | {"old_size": -6},
        "old-size-zero": case | {"old_size": 0},
        "old-size-plus-two-to-the-64": case | {"old_size": 6 + 2**64, "new_size": 13 + 2**64},
        "old-size-is-true": consistency(1, 13) | {"old_size": True},
        "old-size-as-text": case | {"old_size": "6"},
        "new-size-of-a-smaller-tree": case | {"new_size": 8},
        "new-size-of-a-larger-tree": case | {"new_size": 17},
        "new-size-is-old-size": case | {"new_size": 6},
        "old-root-changed": case | {"old_root": STRANGE},
        "old-root-of-31-bytes": case | {"old_root": case["old_root"][:31]},
        "new-root-changed": case | {"new_root": STRANGE},
        "new-root-of-31-bytes": case | {"new_root": case["new_root"][:31]},
        "path-empty": case | {"path": []},
        "path-null": consistency(13, 13) | {"path": None},
        "path-cut-at-start": case | {"path": path[1:]},
        "path-cut-at-end": case | {"path": path[:-1]},
        "path-longer-at-start": case | {"path": [STRANGE, *path]},
        "path-longer-at-end": case | {"path": [*path, STRANGE]},
        "path-reversed": case | {"path": path[::-1]},
        "path-first-hash-changed": case | {"path": [STRANGE, *path[1:]]},
        "path-last-hash-changed": case | {"path": [*path[:-1], STRANGE]},
        "path-hash-of-31-bytes": case | {"path": [path[0][:31], *path[1:]]},
        "path-begins-with-the-root-of-a-perfect-tree": perfect | {"path": [perfect["old_root"], *perfect["path"]]},
        "path-of-another-old-tree": case | {"path": consistency(7, 13)["path"]},
        "path-where-none-is-needed": consistency(13, 13) | {"path": [STRANGE]},
        "same-size-other-root": consistency(13, 13) | {"new_root": STRANGE},
        "empty-tree-with-a-path": consistency(0, 13) | {"path": [STRANGE]},
        "empty-tree-with-another-root": consistency(0, 13) | {"old_root": bytes(32)},
        "empty-tree-with-no-root": consistency(0, 13) | {"old_root": b""},
        "empty-trees-with-one-root-that-is-not-theirs": consistency(0, 0) | {"old_root": STRANGE, "new_root": STRANGE},
    }


# -- tiles


def paths() -> dict[str, Any]:
    named: dict[str, tuple[tiles.Level, int, int]] = {
        "first": (0, 0, 256),
        "three-digits": (0, 999, 256),
        "two-groups": (0, 1_000, 256),
        "three-groups": (0, 1_234_067, 256),
        "partial": (1, 273, 112),
        "of-one": (2, 0, 1),
        "one-less-than-full": (0, 67, 255),
        "highest-level": (63, 0, 1),
        "bundle": (tiles.ENTRIES, 1_234_067, 256),
        "partial-bundle": (tiles.ENTRIES, 0, 3),
    }
    return {
        name: {
            "path": tiles.format(tiles.Tile(level=level, index=index, width=width)),
            "level": level,
            "index": index,
            "width": width,
        }
        for name, (level, index, width) in named.items()
    }


def no_paths() -> dict[str, Any]:
    mutations = {
        "level-64": "tile/64/000",
        "level-negative": "tile/-1/000",
        "level-with-leading-zero": "tile/00/000",
        "level-missing": "tile/000",
        "index-of-one-digit": "tile/0/0",
        "index-of-four-digits": "tile/0/1000",
        "index-with-needless-group": "tile/0/x000/067",
        "index-without-x": "tile/0/001/067",
        "index-with-x-in-the-last-group": "tile/0/x001/x067",
        "index-with-capital-x": "tile/0/X001/067",
        "width-zero": "tile/0/000.p/0",
        "width-of-a-full-tile": "tile/0/000.p/256",
        "width-with-leading-zero": "tile/0/000.p/01",
        "width-missing": "tile/0/000.p/",
        "slash-before": "/tile/0/000",
        "slash-after": "tile/0/000/",
        "slash-twice": "tile//0/000",
        "newline-after": "tile/0/000\n",
        "height-of-the-older-layout": "tile/8/0/000",
        "digits-of-another-script": "tile/0/00\N{ARABIC-INDIC DIGIT ZERO}",
        "empty": "",
    }
    return {name: {"path": path} for name, path in mutations.items()}


def bundles() -> dict[str, Any]:
    named = {
        "empty": [],
        "one-entry": [b"record 0"],
        "empty-entry": [b""],
        "three-entries": [b"record 0", b"", b"record 2"],
        "entry-of-256-bytes": [bytes(256)],
        "256-entries": [b"%d" % at for at in range(256)],
    }
    return {name: {"bundle": tiles.encode_entries(entries), "entries": entries} for name, entries in named.items()}


def no_bundles() -> dict[str, Any]:
    whole = tiles.encode_entries([b"record 0", b"record 1"])
    mutations = {
        "cut-in-a-length": whole[:11],
        "cut-in-an-entry": whole[:-1],
        "length-without-an-entry": whole[:12],
        "byte-after-the-last": whole + b"\x00",
        "length-plus-one": whole[:10] + b"\x00\x09" + whole[12:],
        "lengths-little-endian": b"\x08\x00record 0\x08\x00record 1",
        "257-entries": b"\x00\x00" * 257,
    }
    return {name: {"bundle": bundle} for name, bundle in mutations.items()}


# -- checkpoints and canonical JSON


def checkpoints() -> dict[str, bytes]:
    made = {
        "untouched": Checkpoint(origin="log.example/a", size=13, root=root(13)),
        "empty-tree": Checkpoint(origin="log.example/a", size=0, root=merkle.EMPTY_ROOT),
        "largest-tree": Checkpoint(origin="log.example/a", size=merkle.MAX_SIZE, root=root(13)),
        "extension-lines": Checkpoint(origin="log.example/a", size=13, root=root(13), extensions=("one", "another 2")),
        "origin-with-spaces-and-plus": Checkpoint(origin="a log + more", size=13, root=root(13)),
    }
    return {name: checkpoint.format(each).encode() for name, each in made.items()}


def no_checkpoints() -> dict[str, bytes]:
    text = checkpoints()["untouched"]
    origin, size, root64, _ = text.split(b"\n")
    return {
        "empty": b"",
        "origin-empty": b"\n13\n" + root64 + b"\n",
        "origin-missing": b"13\n" + root64 + b"\n",
        "size-missing": origin + b"\n" + root64 + b"\n",
        "size-empty": text.replace(b"\n13\n", b"\n\n"),
        "size-negative": text.replace(b"\n13\n", b"\n-13\n"),
        "size-with-plus": text.replace(b"\n13\n", b"\n+13\n"),
        "size-with-leading-zero": text.replace(b"\n13\n", b"\n013\n"),
        "size-of-two-zeros": text.replace(b"\n13\n", b"\n00\n"),
        "size-with-space": text.replace(b"\n13\n", b"\n13 \n"),
        "size-hexadecimal": text.replace(b"\n13\n", b"\n0xd\n"),
        "size-with-point": text.replace(b"\n13\n", b"\n13.0\n"),
        "size-of-two-to-the-63": text.replace(b"\n13\n", b"\n9223372036854775808\n"),
        "size-of-5000-digits": text.replace(b"\n13\n", b"\n" + b"9" * 5000 + b"\n"),
        "size-in-another-script": text.replace(b"\n13\n", "\n\N{ARABIC-INDIC DIGIT ONE}\n".encode()),
        "root-missing": origin + b"\n" + size + b"\n",
        "root-empty": origin + b"\n" + size + b"\n\n",
        "root-of-31-bytes": text.replace(root64, b64encode(bytes(31))),
        "root-of-33-bytes": text.replace(root64, b64encode(bytes(33))),
        "root-in-hexadecimal": text.replace(root64, root(13).hex().encode()),
        "root-without-padding": text.replace(root64, root64.rstrip(b"=")),
        "root-with-stray-bits": text.replace(root64, b"A" * 42 + b"B="),
        "root-in-base64-for-urls": text.replace(root64, b"_" * 42 + b"8="),
        "root-with-space": text.replace(root64, b" " + root64),
        "final-newline-missing": text[:-1],
        "empty-line-after": text + b"\n",
        "empty-extension-line": text + b"\nmore\n",
        "carriage-returns": text.replace(b"\n", b"\r\n"),
        "control-character-in-the-origin": b"\x07" + text,
        "byte-order-mark-in-the-size": text.replace(b"\n13\n", b"\n\xef\xbb\xbf13\n"),
        "newline-before": b"\n" + text,
    }


def values() -> dict[str, bytes]:
    made: dict[str, Any] = {
        "null": None,
        "true": True,
        "zero": 0,
        "largest-integer": 2**53 - 1,
        "smallest-integer": -(2**53) + 1,
        "empty-text": "",
        "text-with-short-escapes": '\b\t\n\f\r"\\',
        "text-with-long-escapes": "\x00\x1f",
        "text-beyond-ascii": "\N{EURO SIGN}\N{GRINNING FACE}\x7f/",
        "empty-array": [],
        "empty-object": {},
        "members-in-order": {"a": 1, "a0": 2, "a_": 3, "b": [None, {"c": ""}]},
        "deepest": _nested(16),
        "digest": {"sha256": sha256(b"").hexdigest()},
    }
    return {name: canonical.encode(value) for name, value in made.items()}


def _nested(levels: int) -> Any:
    return [_nested(levels - 1)] if levels else 1


def no_values() -> dict[str, bytes]:
    return {
        "empty": b"",
        "white-space": b'{"a": 1}',
        "newline-after": b"1\n",
        "byte-order-mark": b"\xef\xbb\xbf1",
        "members-out-of-order": b'{"b":1,"a":2}',
        "member-twice": b'{"a":1,"a":1}',
        "member-in-capitals": b'{"A":1}',
        "member-empty": b'{"":1}',
        "member-with-a-newline": b'{"a\\n":1}',
        "member-begins-with-a-digit": b'{"0a":1}',
        "minus-zero": b"-0",
        "leading-zero": b"01",
        "float": b"1.5",
        "float-that-is-whole": b"1.0",
        "exponent": b"1e3",
        "integer-of-two-to-the-53": b"9007199254740992",
        "integer-of-5000-digits": b"9" * 5000,
        "nan": b"NaN",
        "infinity": b"-Infinity",
        "escaped-slash": b'"\\/"',
        "needless-escape": b'"\\u0061"',
        "capital-hex-escape": b'"\\u001F"',
        "long-form-of-short-escape": b'"\\u000a"',
        "escaped-beyond-ascii": b'"\\u20ac"',
        "escaped-surrogate-pair": b'"\\ud83d\\ude00"',
        "lone-surrogate": b'"\\ud800"',
        "surrogate-in-utf-8": b'"\xed\xa0\x80"',
        "overlong-utf-8": b'"\xc0\xaf"',
        "not-utf-8": b'"\xff"',
        "raw-control-character": b'"\x01"',
        "single-quotes": b"{'a':1}",
        "trailing-comma": b"[1,]",
        "comment": b"1/**/",
        "two-values": b"1 2",
        "truncated": b'{"a":[1',
        "one-level-too-deep": b"[" * 17 + b"1" + b"]" * 17,
        "10000-levels": b"[" * 10_000 + b"]" * 10_000,
    }
