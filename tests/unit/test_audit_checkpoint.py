import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.errors import Malformed

LINES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))), min_size=1, max_size=20
)
CHECKPOINTS = st.builds(
    Checkpoint,
    origin=LINES,
    size=st.integers(0, checkpoint.MAX_SIZE),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(LINES, max_size=3).map(tuple),
)
# The example of C2SP tlog-checkpoint, without its signature.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.mark.verifies("REQ-LED-026")
def test_the_example_of_the_specification_is_read():
    found = checkpoint.parse(EXAMPLE)
    assert (found.origin, found.size, found.root[:2]) == ("example.com/behind-the-sofa", 20_852_163, b"\x0a\xc5")


@pytest.mark.verifies("REQ-LED-026")
@given(CHECKPOINTS)
def test_what_is_written_is_read_back(made):
    assert checkpoint.parse(checkpoint.format(made)) == made


@given(st.text(max_size=80))
def test_texts_that_are_read_are_those_that_would_be_written(text):
    candidate = EXAMPLE + text
    try:
        found = checkpoint.parse(candidate)
    except Malformed:
        return
    assert checkpoint.format(found) == candidate


def test_an_empty_tree_has_size_zero():
    assert checkpoint.parse(EXAMPLE.replace("20852163", "0")).size == 0


def test_extension_lines_are_kept():
    assert checkpoint.parse(EXAMPLE + "one\ntwo\n").extensions == ("one", "two")


BROKEN = {
    "empty": "",
    "origin-empty": "\n" + EXAMPLE.split("\n", 1)[1],
    "origin-alone": "example.com\n",
    "no-root": "example.com\n1\n",
    "no-final-newline": EXAMPLE[:-1],
    "empty-extension": EXAMPLE + "\n",
    "empty-extension-then-another": EXAMPLE + "\nmore\n",
    "size-leading-zero": EXAMPLE.replace("20852163", "020852163"),
    "size-double-zero": EXAMPLE.replace("20852163", "00"),
    "size-negative": EXAMPLE.replace("20852163", "-1"),
    "size-plus": EXAMPLE.replace("20852163", "+1"),
    "size-hexadecimal": EXAMPLE.replace("20852163", "0x1"),
    "size-empty": EXAMPLE.replace("20852163", ""),
    "size-with-space": EXAMPLE.replace("20852163", "1 "),
    "size-with-underscore": EXAMPLE.replace("20852163", "1_000"),
    "size-in-arabic-digits": EXAMPLE.replace("20852163", "\N{ARABIC-INDIC DIGIT ONE}"),
    "size-beyond-63-bits": EXAMPLE.replace("20852163", str(2**63)),
    "root-of-31-bytes": EXAMPLE.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", "A" * 40 + "AA=="),
    "root-of-33-bytes": EXAMPLE.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", "A" * 44),
    "root-without-padding": EXAMPLE.replace("q2I=", "q2I"),
    "root-with-stray-bits": EXAMPLE.replace("q2I=", "q2J="),
    "root-in-url-alphabet": EXAMPLE.replace("om/X", "om_X"),
    "carriage-returns": EXAMPLE.replace("\n", "\r\n"),
    "origin-with-tab": EXAMPLE.replace("example", "exa\tmple"),
    "origin-with-lone-surrogate": EXAMPLE.replace("example", "exa\ud800mple"),
}


@pytest.mark.verifies("REQ-LED-026")
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(Malformed):
        checkpoint.parse(text)


@pytest.mark.verifies("REQ-LED-026")
@pytest.mark.parametrize(
    "made",
    [
        Checkpoint(origin="", size=1, root=bytes(32)),
        Checkpoint(origin="a\nb", size=1, root=bytes(32)),
        Checkpoint(origin="a", size=-1, root=bytes(32)),
        Checkpoint(origin="a", size=2**63, root=bytes(32)),
        Checkpoint(origin="a", size=1, root=bytes(31)),
        Checkpoint(origin="a", size=1, root=bytes(32), extensions=("",)),
        Checkpoint(origin="a", size=1, root=bytes(32), extensions=("b\nc",)),
    ],
    ids=repr,
)
def test_what_has_no_text_is_not_written(made):
    with pytest.raises(Malformed):
        checkpoint.format(made)
