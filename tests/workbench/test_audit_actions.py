"""What each action does, and that undo, redo and revert put back exactly what was there."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from workbench.audit.actions import decide, import_entries
from workbench.audit.agreement import Opinion, cohen_kappa, compare, consensus, pairs
from workbench.audit.box import Box, checked_corners, from_dict
from workbench.audit.journal import Journal, Row
from workbench.audit.replay import GalaxyState, replay
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = (200, 160)
BASE = [
    Box("d1", 10, 10, 26, 26, source="detection", score=0.9),
    Box("d2", 50, 40, 66, 56, 2, "detection", score=0.4),
    Box("t1", 90, 90, 106, 106, source="truth", flux_ratio=0.05),
]


class Desk:
    """Acts on one galaxy as the session does, but keeps the rows in memory."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    @property
    def state(self) -> GalaxyState:
        return replay(BASE, self.rows)

    def act(self, kind: str, **more: Any) -> GalaxyState:
        batch = len(self.rows) + 1
        for entry in decide(self.state, {"kind": kind, **more}, SIZE):
            self.rows.append(Row(len(self.rows) + 1, batch, "now", "ada", "g", entry))
        return self.state


def test_accept_reject_and_clear() -> None:
    desk = Desk()
    assert desk.act("accept", box="d1").labels == [replace(BASE[0], status="accepted")]
    assert desk.act("reject", box="d1").boxes["d1"].status == "rejected"
    assert desk.act("clear", box="d1").boxes["d1"] == BASE[0]
    assert [row.entry.kind for row in desk.rows] == ["accept", "reject", "clear"]
    assert desk.act("clear", box="d1").rows == tuple(desk.rows)
    assert len(desk.rows) == 3  # nothing changed, nothing written


def test_moving_and_labelling_accept_a_box() -> None:
    desk = Desk()
    moved = desk.act("move", box="d1", to=[12, 10, 28, 26]).boxes["d1"]
    assert moved == replace(BASE[0], x1=12.0, x2=28.0, status="accepted")
    odd = desk.act("label", box="d1", label=2).boxes["d1"]
    assert odd == replace(moved, label=2)
    assert desk.rows[0].entry.before == BASE[0].to_dict()
    assert from_dict(desk.rows[-1].entry.after or {}) == odd


def test_added_boxes_are_labels_and_can_be_deleted() -> None:
    desk = Desk()
    added = desk.act("add", to=[100, 20, 80, 40], label=1).labels[0]
    assert added.corners == (80.0, 20.0, 100.0, 40.0)  # drawn from any corner
    assert added.source == "human"
    assert added.id not in desk.act("delete", box=added.id).boxes
    assert desk.act("undo").boxes[added.id] == added


def test_the_catalogue_can_be_accepted_but_neither_moved_nor_deleted() -> None:
    desk = Desk()
    assert [box.id for box in desk.act("accept", box="t1").labels] == ["t1"]
    with pytest.raises(WorkbenchError, match="stays where it is"):
        desk.act("move", box="t1", to=[0, 0, 9, 9])
    with pytest.raises(WorkbenchError, match="reject it instead"):
        desk.act("delete", box="t1")


def test_accepting_all_above_a_score_is_one_action() -> None:
    desk = Desk()
    assert [box.id for box in desk.act("accept_all", threshold=0.5).labels] == ["d1"]
    assert len(desk.act("accept_all", threshold=0.0).labels) == 2
    desk = Desk()
    desk.act("accept_all", threshold=0.0)
    assert desk.act("undo").labels == []
    assert len(desk.act("redo").labels) == 2


def test_rejecting_what_is_left_spares_the_catalogue_and_what_is_decided() -> None:
    desk = Desk()
    desk.act("accept", box="d1")
    left = desk.act("reject_all").boxes
    statuses = {name: str(box.status) for name, box in left.items()}
    assert statuses == {"d1": "accepted", "d2": "rejected", "t1": "pending"}
    assert desk.act("undo").boxes["d2"].status == "pending"


def test_finishing_a_galaxy_is_undone_like_anything_else() -> None:
    desk = Desk()
    assert desk.act("done").done
    assert not desk.act("undo").done
    assert desk.act("redo").done
    assert not desk.act("reopen").done
    assert desk.act("accept", box="d1").redoable == ()


def test_undo_goes_back_through_everything_and_a_new_action_ends_redo() -> None:
    desk = Desk()
    states = [desk.act("accept", box="d1"), desk.act("reject", box="d2"), desk.act("done")]
    assert desk.act("undo").boxes == states[1].boxes
    assert desk.act("undo").boxes == states[0].boxes
    assert desk.act("redo").boxes == states[1].boxes
    desk.act("clear", box="d1")
    with pytest.raises(WorkbenchError, match="nothing to redo"):
        desk.act("redo")


def test_reverting_one_action_leaves_the_others() -> None:
    desk = Desk()
    desk.act("accept", box="d1")
    desk.act("reject", box="d2")
    desk.act("move", box="d1", to=[0, 0, 16, 16])
    reverted = desk.act("revert", seq=1)
    assert reverted.boxes["d1"] == BASE[0]
    assert reverted.boxes["d2"].status == "rejected"
    assert desk.act("undo").boxes["d1"].corners == (0.0, 0.0, 16.0, 16.0)
    with pytest.raises(WorkbenchError, match="no action 99"):
        desk.act("revert", seq=99)


def _random_action(chance: random.Random, state: GalaxyState) -> dict[str, Any]:
    boxes = [box.id for box in state.boxes.values() if box.source != "truth"]
    kind = chance.choice(["accept", "reject", "clear", "label", "move", "add", "delete", "done",
                          "reopen", "accept_all", "reject_all"])  # fmt: skip
    x, y = chance.uniform(0, 150), chance.uniform(0, 120)
    if not boxes and kind not in {"add", "done", "reopen", "accept_all", "reject_all"}:
        kind = "add"
    box = chance.choice(boxes) if boxes and kind != "add" else None
    return {"kind": kind, "box": box, "label": chance.choice([1, 2]), "to": [x, y, x + 16, y + 16]}


@given(seed=st.integers(0, 2**32), length=st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_any_history_undoes_to_the_start_and_redoes_to_the_end(seed: int, length: int) -> None:
    desk, chance = Desk(), random.Random(seed)
    for _ in range(length):
        desk.act(**_random_action(chance, desk.state))
    end = desk.state
    trail = [end]
    while desk.state.undoable:
        trail.append(desk.act("undo"))
    assert desk.state.boxes == {box.id: box for box in BASE}
    assert not desk.state.done
    for wanted in reversed(trail[:-1]):
        state = desk.act("redo")
        assert (state.boxes, state.done) == (wanted.boxes, wanted.done)
    assert desk.state.boxes == end.boxes


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"kind": "explode"}, "unknown action 'explode'; known: accept, reject"),
        ({"kind": "accept", "box": "zz"}, "no box 'zz'"),
        ({"kind": "accept"}, "no box None"),
        ({"kind": "label", "box": "d1", "label": 7}, "label 7; expected 1"),
        ({"kind": "add", "to": [1, 2, 3]}, "expected four numbers"),
        ({"kind": "add", "to": [1, 2, math.nan, 4]}, "expected finite"),
        ({"kind": "add", "to": [1, 2, 2, 30]}, r"1.0 x 28.0 pixels; expected at least 2 a side"),
        ({"kind": "undo"}, "nothing to undo"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_action_says_what_is_wrong(action: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        Desk().act(**action)


def test_a_box_dragged_out_of_the_picture_keeps_its_centre_in_it() -> None:
    assert checked_corners([-40, 10, -20, 30], SIZE) == (-10.5, 10.0, 9.5, 30.0)
    assert checked_corners([300, 300, 310, 320], SIZE) == (194.5, 149.5, 204.5, 169.5)


def test_importing_twice_adds_nothing() -> None:
    boxes = [Box("i1", 1, 1, 9, 9, status="accepted")]
    entries = import_entries(replay(BASE, []), boxes, SIZE)
    rows = [Row(1, 1, "now", "ada", "g", entry) for entry in entries]
    state = replay(BASE, rows)
    assert [box.corners for box in state.labels] == [(1.0, 1.0, 9.0, 9.0)]
    assert import_entries(state, boxes, SIZE) == []


def test_the_journal_and_the_replay_agree(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.sqlite") as journal:
        steps: Iterator[dict[str, Any]] = iter(
            [{"kind": "accept", "box": "d1"}, {"kind": "undo"}, {"kind": "redo"}, {"kind": "done"}]
        )
        for step in steps:
            rows = journal.act(
                "ada", "g", lambda rows, step=step: decide(replay(BASE, rows), step, SIZE)
            )
    state = replay(BASE, rows)
    assert [box.id for box in state.labels] == ["d1"]
    assert state.done
    assert len(state.undoable) == 2


def boxes_at(*centres: tuple[float, float], label: int = 1) -> tuple[Box, ...]:
    return tuple(
        Box(f"{label}-{x}-{y}", x - 8, y - 8, x + 8, y + 8, label, status="accepted")
        for x, y in centres
    )


def test_kappa_is_that_of_scikit_learn() -> None:
    chance = random.Random(3)
    names = ["clump", "odd", "none"]
    first = [chance.choice(names) for _ in range(200)]
    second = [a if chance.random() < 0.6 else chance.choice(names) for a in first]
    votes = {
        pair: sum(both == pair for both in zip(first, second, strict=True))
        for pair in itertools.product(names, names)
    }
    assert cohen_kappa(votes) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_pairs_are_one_to_one_and_the_nearest_first() -> None:
    first, second = boxes_at((20, 20), (24, 20)), boxes_at((23, 20), (60, 60))
    assert pairs(first, second, 6.0) == [(1, 0)]
    assert pairs(first, second, 2.0) == [(1, 0)]
    assert pairs(first, second, 0.5) == []
    assert pairs(first, second, None) == [(1, 0)]


def test_agreement_counts_matched_boxes() -> None:
    ada = {"g1": Opinion(boxes_at((20, 20), (60, 60)), (), 6.0), "g2": Opinion((), (), 6.0)}
    bob = {"g1": Opinion(boxes_at((22, 20), (90, 90)), (), 6.0), "g3": Opinion((), (), 6.0)}
    result = compare(ada, bob)
    assert (result.galaxies, result.matched, result.first, result.second) == (1, 1, 2, 2)
    assert result.f1 == 0.5
    # clump-clump, clump-none, none-clump: observed 1/3, expected 2/3 * 2/3 + 1/3 * 1/3.
    assert result.kappa == pytest.approx((1 / 3 - 5 / 9) / (1 - 5 / 9))
    with pytest.raises(WorkbenchError, match="no galaxy was finished by both"):
        compare(ada, {"g9": Opinion(())})


def test_consensus_is_what_more_than_half_accepted() -> None:
    opinions = [
        Opinion(boxes_at((20, 20), (60, 60)), (), 6.0),
        Opinion(boxes_at((21, 20)), (), 6.0),
        Opinion(boxes_at((23, 20), label=2) + boxes_at((100, 100)), (), 6.0),
    ]
    [(box, votes)] = consensus(opinions)
    assert votes == 3
    assert box.centre == (21.0, 20.0)
    assert box.label == 1
    assert box.score == 1.0
    assert len(consensus(opinions[:1])) == 2
    assert len(consensus(opinions[:2])) == 1
