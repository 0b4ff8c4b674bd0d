"""Every record of the schema, as hypothesis draws them."""

from typing import get_args

from hypothesis import strategies as st
from msgspec import inspect

from audit import record

KINDS = get_args(record.Record)
LINES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))),
    min_size=1,
    max_size=256,
)
VERIFIER_KEYS = st.from_regex(r"[^\x00-\x20+\ud800-\udfff]{1,40}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", fullmatch=True)


def values(info, pattern=None):
    """Every value that the schema admits for a member of this type."""
    if isinstance(info, inspect.Metadata):
        return values(info.type, (info.extra or {}).get("pattern"))
    if isinstance(info, inspect.StructType):
        return st.builds(info.cls, **{field.name: values(field.type) for field in info.fields})
    if isinstance(info, inspect.UnionType):
        return st.one_of(*(values(one) for one in info.types))
    if isinstance(info, inspect.NoneType):
        return st.none()
    if isinstance(info, inspect.VarTupleType):
        return st.lists(values(info.item_type), max_size=3).map(tuple)
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    if isinstance(info, inspect.IntType):
        return st.integers(info.ge, info.le)
    if '"' in pattern:  # written for encoded bytes, in which a quote is escaped
        return VERIFIER_KEYS if "+/" in pattern else LINES
    return st.from_regex(pattern, fullmatch=True)


RECORDS = st.one_of(*(values(inspect.type_info(kind)) for kind in KINDS))


def changed(value, path, change):
    """The value with `change` applied at `path`."""
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], change)
    return copy
