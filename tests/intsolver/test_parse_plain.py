"""The quick reader reads what Python's parser reads, or nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from intsolver import ExpressionError
from intsolver.parse import python_tree, read_tree
from intsolver.parse_plain import read_plain
from random_problems import Stated, problems

PIECES = (
    *("x", "y", "_z1", "min", "match", "0", "1", "07", "12", "10000000000000000000", "1_0", "0x1"),
    *("+", "-", "*", "//", "/", "%", "**", "<", "<=", "==", "!=", ">=", ">", "(", ")", ","),
    *("and", "or", "not", "in", "is", "if", "else", "lambda", "True", "None", "\t", "é", "=", "."),
)


def slowly(text: str) -> object:
    try:
        return tuple(read_tree(python_tree(text), text))
    except ExpressionError:
        return "refused"


@settings(max_examples=500)
@given(problems())
def test_problems_are_read_the_same(stated: Stated) -> None:
    for text in stated.texts():
        assert read_plain(text) in (None, slowly(text))


@settings(max_examples=3000)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9), st.sampled_from(["", " "]))
def test_any_words_are_read_the_same_or_not_at_all(pieces: list[str], between: str) -> None:
    text = between.join(pieces).strip()
    assert not text or read_plain(text) in (None, slowly(text)), text


def test_what_tuning_problems_are_written_in_is_plain() -> None:
    texts = (
        "(wc * wb * 512 // (bn * ln * n)) * 32 <= 256",
        "32 <= bx * by <= 1024",
        "not (a == 1 and b > 2) or -c % 3 != 0",
        "(a / b) % c == 0",
    )
    for text in texts:
        assert read_plain(text) == slowly(text)
        assert read_plain(text) is not None


def test_the_rest_is_left_to_the_other_reader() -> None:
    for text in ("min(a, b) < 3", "a if b else c", "x in [1, 2]", "2 ** 3 ** 2", "(" * 150):
        assert read_plain(text) is None
    assert read_plain(" + ".join(["x"] * 100)) is None
