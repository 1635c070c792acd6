"""What the gallery filters, sorts and draws, without a browser."""

from __future__ import annotations

import io
import math
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from workbench.audit import Audit, sheets
from workbench.audit.gallery import PAGE, SHEET, AuditGallery
from workbench.audit.library import Folder
from workbench.audit.query import select
from workbench.audit.ranking import Columns, ranked
from workbench.audit.sheets import SheetStore
from workbench.audit.sprites import COLUMNS, SIDE, Sprites
from workbench.clumps.galaxy import Galaxy, annotation
from workbench.clumps.matching import detections
from workbench.clumps.pictures import write_picture
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.clumps.galaxy import Annotation

TABLE = {
    "name": np.array(["a1", "b2", "c1"]),
    "boxes": np.array([1, 5, 3]),
    "top": np.array([0.2, 0.9, np.nan]),
    "done": np.array([True, False, False]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 1, 1]),
        ("boxes >= 3 and not done", [0, 1, 1]),
        ("done or top > 0.5", [1, 1, 0]),
        ("1 < boxes <= 3", [0, 0, 1]),
        ("boxes * 2 - 1 > 4", [0, 1, 1]),
        ("'1' in name", [1, 0, 1]),
        ('name == "b2"', [0, 1, 0]),
        ("'x' not in name", [1, 1, 1]),
        ("-boxes < -2", [0, 1, 1]),
    ],
)
def test_conditions(text: str, expected: list[int]) -> None:
    np.testing.assert_array_equal(select(text, TABLE), np.array(expected, bool))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clumps > 3", "no column 'clumps'; columns: name, boxes"),
        ("boxes >", "not understood; try"),
        ("boxes", "is a number, not true or false"),
        ("boxes and done", "a number where true or false"),
        ("__import__('os').system('true')", "is not allowed"),
        ("name.__class__", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("boxes ** 9999999", "is not allowed"),
        ("boxes > 'x'", "condition"),
        ("1" * 600, "600 characters"),
        ("(" * 400, "not understood"),
    ],
)
def test_a_wrong_condition_says_why_and_runs_nothing(text: str, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        select(text, TABLE)


def galaxy(name: str, ratio: float) -> Galaxy:
    box = [[10, 10, 20, 20]]
    truth = annotation(name, (60, 40), box, flux_ratio=[ratio], psf_fwhm=4.0)
    return Galaxy(np.full((40, 60, 3), 0.5, np.float32), truth)


FOUND = {
    "a": detections([[11, 10, 21, 20]], [0.5]),
    "b": detections([[30, 10, 40, 20], [10, 10, 20, 20]], [0.9, 0.99]),
}


def audit(folder: Path) -> Audit:
    galaxies = [galaxy("b", 0.01), galaxy("c", math.nan), galaxy("a", 0.2)]
    return Audit(galaxies, FOUND, journal=folder / "a.sqlite", auditor="ada")


def test_columns_and_orders(tmp_path: Path) -> None:
    with audit(tmp_path) as desk:
        columns = Columns(desk)
        np.testing.assert_array_equal(columns["boxes"], [2, 0, 1])
        np.testing.assert_array_equal(columns["top"], [0.99, -np.inf, 0.5])
        # b: one hit, one beside; c: one missed; a: one hit.
        np.testing.assert_array_equal(columns["disagreement"], [1, 1, 0])
        np.testing.assert_array_equal(columns["flux_ratio"], [0.01, np.nan, 0.2])
        bits = sum(-p * math.log2(p) - (1 - p) * math.log2(1 - p) for p in (0.9, 0.99))
        np.testing.assert_allclose(columns["uncertainty"], [bits, 0, 1])
        assert ranked(desk, order="uncertainty") == ("a", "b", "c")
        assert ranked(desk, order="flux_ratio") == ("a", "b", "c")
        assert ranked(desk, order="name") == ("a", "b", "c")
        assert ranked(desk, "boxes > 0", "boxes") == ("b", "a")
        with pytest.raises(WorkbenchError, match="unknown order 'fame'; known: order"):
            ranked(desk, order="fame")


def test_what_is_decided_can_be_asked_for(tmp_path: Path) -> None:
    with audit(tmp_path) as desk:
        box = next(iter(desk.state("b").boxes))
        desk.act({"kind": "reject", "box": box}, "b")
        desk.act({"kind": "done"}, "b")
        assert ranked(desk, "done") == ("b",)
        assert ranked(desk, "rejected == 1 and accepted == 0") == ("b",)


def test_significances_are_ranked_by_their_spread(tmp_path: Path) -> None:
    found = {
        "a": detections([[0, 0, 9, 9]], [3.0]),
        "b": detections([[0, 0, 9, 9]], [40.0]),
        "c": detections([[0, 0, 9, 9]], [4.0]),
    }
    galaxies = [galaxy(name, 0.1) for name in "abc"]
    with Audit(galaxies, found, journal=tmp_path / "a.sqlite") as desk:
        assert ranked(desk, order="uncertainty") == ("c", "a", "b")


def test_a_sprite_holds_every_thumbnail_in_its_place(tmp_path: Path) -> None:
    names = [f"{k:02d}.png" for k in range(COLUMNS + 2)]
    for k, name in enumerate(names):
        write_picture(tmp_path / name, np.full((50, 50, 3), k / 60, np.float32))
    (tmp_path / "01.png").write_bytes(b"broken")
    sheet = np.asarray(Image.open(io.BytesIO(Sprites(Folder(tmp_path)).sprite(names))))
    assert sheet.shape == (2 * SIDE, COLUMNS * SIDE, 3)
    for k in range(len(names)):
        row, column = divmod(k, COLUMNS)
        middle = sheet[row * SIDE + SIDE // 2, column * SIDE + SIDE // 2]
        expected = 40 if k == 1 else round(255 * k / 60)  # a broken picture is grey
        assert np.abs(middle.astype(int) - expected).max() <= 3


def test_sheets_on_the_disk_are_those_of_the_same_files(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(3)]
    shelf, store = tmp_path / "pictures", tmp_path / "audit.thumbnails"
    shelf.mkdir()
    for name in names:
        write_picture(shelf / name, np.full((50, 40, 3), 0.2, np.float32))
    first = Sprites(Folder(shelf), store).sprite(names)
    before = (shelf / "1.png").stat()
    write_picture(shelf / "1.png", np.full((50, 40, 3), 0.9, np.float32))
    assert (shelf / "1.png").stat().st_size == before.st_size
    os.utime(shelf / "1.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    again = Sprites(Folder(shelf), store)
    assert again.sprite(names) == first  # nothing says that the file is another: not read
    assert again.size("1.png") == (40, 50)
    os.utime(shelf / "1.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    changed = Sprites(Folder(shelf), store).sprite(names)
    pixels = np.asarray(Image.open(io.BytesIO(changed)))
    assert abs(int(pixels[SIDE // 2, SIDE + SIDE // 2, 0]) - 230) <= 3


@pytest.mark.parametrize("damage", [b"no database at all" * 300, b"", None])
def test_a_damaged_cache_of_thumbnails_is_left_out(tmp_path: Path, damage: bytes | None) -> None:
    write_picture(tmp_path / "a.png", np.full((50, 40, 3), 0.2, np.float32))
    expected = Sprites(Folder(tmp_path)).sprite(["a.png"])
    store = tmp_path / "audit.thumbnails"
    if damage is None:
        store = tmp_path / "nowhere" / "audit.thumbnails"
    else:
        store.write_bytes(damage)
    assert Sprites(Folder(tmp_path / "a.png"), store).sprite(["a.png"]) == expected


def test_old_sheets_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "KEPT", 2)
    store = SheetStore(tmp_path / "audit.thumbnails")
    for number in range(4):
        store.put(str(number), (bytes([number]), [(1, number)]))
    assert [store.get(str(number)) is None for number in range(4)] == [True, True, False, False]
    assert store.get("3") == (bytes([3]), [(1, 3)])


def test_a_page_comes_in_sheets_of_which_the_first_is_enough_to_begin(tmp_path: Path) -> None:
    number = SHEET + 3
    galaxies = [galaxy(f"{k:04d}", 0.1) for k in range(number)]
    with Audit(galaxies, {}, journal=tmp_path / "a.sqlite", auditor="ada") as desk:
        gallery = AuditGallery(desk, lambda _: None)
        sent: list[dict[str, Any]] = []
        gallery.send = lambda content, _=None: sent.append(content)
        gallery.choose()
        assert [one["kind"] for one in sent] == ["page", "sheet", "sheet"]
        assert sent[0]["count"] == number
        assert [len(one["names"]) for one in sent[1:]] == [SHEET, 3]
        assert [name for one in sent[1:] for name in one["names"]] == list(desk.queue)
        assert {one["serial"] for one in sent} == {sent[0]["serial"]}


def test_sheets_that_the_browser_holds_are_not_sent_again_and_the_next_come_ahead(
    tmp_path: Path,
) -> None:
    galaxies = [galaxy(f"{k:05d}", 0.1) for k in range(PAGE + SHEET + 3)]
    with Audit(galaxies, {}, journal=tmp_path / "a.sqlite", auditor="ada") as desk:
        gallery = AuditGallery(desk, lambda _: None)
        sent: list[tuple[dict[str, Any], bytes]] = []
        gallery.send = lambda content, buffers=(b"",): sent.append((content, buffers[0]))
        gallery.choose()
        first = {content["key"]: sheet for content, sheet in sent[1:]}
        assert len(first) == PAGE // SHEET
        assert all(first.values())

        sent.clear()
        gallery._handle(None, {"kind": "ahead", "have": list(first)}, [])
        wait_until(lambda: len(sent) == 2)
        ahead = {content["key"]: sheet for content, sheet in sent}
        assert {content["kind"] for content, _ in sent} == {"ahead"}

        sent.clear()
        show = {"kind": "show", "condition": "", "order": "order", "page": 1}
        gallery._handle(None, {**show, "have": [*first, *ahead]}, [])
        assert [(content["key"], sheet) for content, sheet in sent[1:]] == [
            (key, b"") for key in ahead
        ]
        sent.clear()
        gallery._handle(None, {**show, "have": list(first)}, [])
        assert {content["key"]: sheet for content, sheet in sent[1:]} == ahead


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def boxes_of(name: str, message: dict[str, Any]) -> list[list[float]]:
    """Return the boxes of one galaxy of a message, as the browser unpacks them."""
    numbers, table = message["numbers"], np.frombuffer(message["buffers"][-1], np.float32)
    place = message["names"].index(name)
    first = sum(numbers[:place])
    return sorted(table.reshape(-1, 5)[first : first + numbers[place]].tolist())


def test_the_queue_of_the_gallery_is_that_of_the_overlay(tmp_path: Path) -> None:
    opened: list[str] = []
    with audit(tmp_path) as desk:
        gallery = AuditGallery(desk, opened.append)
        sent: list[dict[str, Any]] = []
        gallery.send = lambda content, buffers=(): sent.append({**content, "buffers": buffers})
        gallery.choose("boxes > 0", "boxes")
        assert sent[-1]["names"] == ["b", "a"]
        # x of the first box: (30 + 0.5) / 60 of the width.
        untouched = boxes_of("b", sent[-1])
        assert any(np.allclose(box, [0.5083, 0.2625, 0.675, 0.5125, 0], atol=1e-4)
                   for box in untouched)  # fmt: skip
        assert desk.current == "b"
        assert desk.go(1) == "a"
        assert sent[-1]["kind"] == "item"
        desk.go("b")
        assert boxes_of("b", sent[-1]) == untouched  # by way of the journal: the same
        gallery._handle(None, {"kind": "open", "name": "b"}, [])
        assert opened == ["b"]
        wrong = {"kind": "show", "condition": "top >", "order": "x", "page": 0, "have": []}
        gallery._handle(None, wrong, [])
        assert sent[-1]["kind"] == "error"
        assert gallery.condition == "boxes > 0"


class Hundred:
    """A hundred thousand galaxies that are nowhere but in this table."""

    names = tuple(f"g{k:06d}" for k in range(100_000))

    def open(self, name: str) -> Galaxy:
        raise WorkbenchError(f"{name}: nothing may open it")

    def known(self, _: str) -> Annotation | None:
        return None


@pytest.mark.timing
def test_a_hundred_thousand_galaxies_are_filtered_without_opening_one(tmp_path: Path) -> None:
    one = detections([[10, 10, 20, 20], [40, 40, 50, 50]], [0.3, 0.7])
    found = dict.fromkeys(Hundred.names[::2], one)
    with Audit(Hundred(), found, journal=tmp_path / "a.sqlite", auditor="ada") as desk:
        began = time.perf_counter()
        assert len(ranked(desk, "boxes == 2 and not done", "uncertainty")) == 50_000
        assert time.perf_counter() - began < 5.0  # 1.3 s on two busy cores
