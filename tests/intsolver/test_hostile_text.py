"""Text from anywhere: it is an expression of the language or an ExpressionError, nothing else.

It is never executed, takes little time however it is made, and the error names what was given.
"""

from __future__ import annotations

import builtins
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from intsolver import ExpressionError, Infeasible, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("no_collection")
_SECONDS = 1.0  # for one text; parsing the longest allowed one was measured at 20 ms


def problem() -> Problem:
    made = Problem("hostile")
    made.var("x", [1, 2, 3])
    made.var("y", -2, 2)
    made.param("p", 4)
    return made


ENTRIES: dict[str, Callable[[Problem, str], Any]] = {
    "add": lambda p, text: p.add(text),
    "parse": lambda p, text: p.parse(text),
    "define": lambda p, text: p.define("d", text),
    "maximize": lambda p, text: p.maximize(text),
}
NASTY = [
    "",
    " ",
    "\n",
    "\x00",
    "x\x00",
    "x == 1\x00",
    "()",
    "x ==",
    "== x",
    "x = 1",
    "x := 1",
    "(x := 1)",
    "lambda: 1",
    "(lambda: x)()",
    "[x for x in range(9)]",
    "{x for x in (1, 2)}",
    "(x for x in (1, 2))",
    "{x: y}",
    "f'{x}'",
    "f'{__import__(\"os\").getpid()}'",
    "'x' * 9",
    "b'x'",
    "x.__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "x.real",
    "__import__('os').system('touch hacked')",
    "__builtins__",
    "__builtins__['eval']('1')",
    "open('/etc/passwd').read()",
    "eval('1')",
    "exec('import os')",
    "compile('1', '', 'eval')",
    "getattr(x, 'y')",
    "breakpoint()",
    "print(x)",
    "min",
    "min()",
    "min(x, key=abs)",
    "min(*[x, y])",
    "max(**{})",
    "abs(x, y)",
    "abs()",
    "divides(x)",
    "all_different()",
    "pow(2, 3)",
    "sum([x])",
    "x[0]",
    "x[0:1]",
    "[x][0]",
    "x if y",
    "await x",
    "yield x",
    "(yield)",
    "x; y",
    "import os",
    "assert x",
    "x @ y",
    "x & y",
    "x | y",
    "x ^ y",
    "x << 2",
    "x >> 2",
    "~x",
    "x is y",
    "x is not None",
    "None",
    "...",
    "1.5",
    "1e400",
    "1j",
    "float('nan')",
    "0x",
    "1_",
    "١ + x",
    "x ** y",
    "x ** -1",
    "x ** 1000000",
    "9 ** 9 ** 9",
    "9**64**64",
    "((((x**64)**64)**64)**64) == 1",
    "1" * 5_000,
    "9" * 9_999 + "9",
    "-" * 5_000 + "x",
    "not " * 2_000 + "x",
    "(" * 5_000 + "x" + ")" * 5_000,
    "(" * 90 + "x" + ")" * 90,
    "[" * 2_000,
    "x + " * 2_400 + "x",
    "x * " * 2_400 + "x",
    "x ** 2" + " * x ** 64" * 900,
    "x == 1 or " * 900 + "y == 1",
    "x < " * 2_400 + "y",
    "x if x else " * 800 + "y",
    "min(" * 1_500 + "x" + ")" * 1_500,
    "x" * 10_001,
    "x == 1" + " " * 20_000,
    "x == 1 # comment",
    "x == 1\\\n",
    "\u202ex == 1",
    "х == 1",
    "ｘ == 1",
    "x ≤ 1",
    "x == ²",
    "x\u00a0== 1",
    "\ud800",
    "x == '\ud800'",
    "𝐱 == 1",
    "unknown == 1",
    "X == 1",
    "__debug__",
    "True.__class__",
    "x in y",
    "x in range(3)",
    "x in [1, [2]]",
    "x not in {}",
    "x in 'abc'",
    "*x",
    "*x, y",
    "x, y",
    "%s",
    "%(x)s",
    "{0}",
    "${x}",
    "`x`",
    "x ? y : 1",
    "x && y",
    "x || y",
    "!x",
    "x <> y",
    "x => y",
    "x =< y",
    "<script>",
    "'; DROP TABLE x; --",
]


def attempt(entry: str, text: str) -> Any:
    """Return what an entry makes of a text, None for an ExpressionError; within the time."""
    started = time.thread_time()  # of this thread: others of the process run on
    made = problem()
    try:
        return ENTRIES[entry](made, text)
    except Infeasible:
        assert entry == "maximize"  # of `0 // 0`, say
        return None
    except ExpressionError as error:
        message = str(error)
        assert message
        assert len(message) < 1_000, "a message that nobody reads"
        assert made.count() == 15, "the problem is as it was"
        return None
    finally:
        assert time.thread_time() - started < _SECONDS


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a text gets hold of what starts, opens or asks something."""

    def caught(*_: object, **__: object) -> None:
        pytest.fail("a text was executed")

    for module, name in ((builtins, "breakpoint"), (builtins, "input"), (os, "system")):
        monkeypatch.setattr(module, name, caught)
    monkeypatch.setattr(subprocess, "Popen", caught)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_texts(entry: str, text: str) -> None:
    attempt(entry, text)


MUST_FAIL = [text for text in NASTY[: NASTY.index("x ** 1000000")] if text.strip() != "x"]


@pytest.mark.parametrize("text", MUST_FAIL, ids=range(len(MUST_FAIL)))
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        problem().add(text)


@settings(max_examples=500)
@given(st.text(max_size=60), st.sampled_from(sorted(ENTRIES)))
@example("\x00", "add")
def test_any_text(text: str, entry: str) -> None:
    attempt(entry, text)


_WORDS = """
x y p unknown 0 1 -1 2 9999999999999999999999 1.5 + - * / // % ** == != < <= > >= and or not in is
if else lambda : , . ( ) [ ] { } min( max( abs( divides( all_different( __import__( __class__ 'a'
f'{x}' := = ; \\ # @ & | ^ ~ << >> None True False await yield for x.y x[0]
"""
_PIECES = st.sampled_from(_WORDS.split())


@settings(max_examples=1_000)
@given(st.lists(_PIECES, min_size=1, max_size=14), st.sampled_from(sorted(ENTRIES)))
def test_pieces_of_python_in_any_order(pieces: list[str], entry: str) -> None:
    attempt(entry, " ".join(pieces))


@settings(max_examples=500)
@given(
    st.sampled_from(["32 <= x * y <= 1024", "x % y == 0 or p > 1", "min(x, y, p) == 2 ** 3 - x"]),
    st.lists(st.tuples(st.integers(0, 40), st.characters()), min_size=1, max_size=4),
)
def test_texts_with_characters_changed(text: str, changes: list[tuple[int, str]]) -> None:
    for place, character in changes:
        at = place % len(text)
        text = text[:at] + character + text[at + 1 :]
    attempt("add", text)


def test_nothing_was_written(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in NASTY:
        attempt("add", text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("x * foo <= 4", 4),
        ("x + 1.5 <= y", 4),
        ("x <= y.real", 5),
        ("x <= open(1)", 5),
        ("é * x <= 1", 0),
    ],
)
def test_errors_point_at_the_place(text: str, column: int) -> None:
    with pytest.raises(ExpressionError) as raised:
        problem().add(text)
    assert raised.value.column == column
    shown, caret = str(raised.value).splitlines()[-2:]
    assert shown[2:] == text
    assert caret.index("^") == column + 2
