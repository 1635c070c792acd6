"""What watches work in the background is told by one thread at a time."""

from __future__ import annotations

import threading
import time

from workbench.background import DONE, Resumable


class _Steps(Resumable):
    def _work(self) -> None:
        for step in range(20):
            self._say("running", f"{step}")
        self._say(DONE, "done")


def test_the_button_and_the_work_do_not_draw_at_once() -> None:
    drawing, met = threading.Lock(), []

    def draw() -> None:
        met.append(drawing.acquire(blocking=False))
        time.sleep(0.002)
        if met[-1]:
            drawing.release()

    work = _Steps("ready", draw)
    for _ in range(5):
        work.start()
        work.wait()
    assert len(met) == 5 * 22
    assert all(met)
    assert work.message == "done"
