"""What is measured, and what a report says; on a GPU the real thing."""

from __future__ import annotations

import pytest
import torch
from rnnkernels.autotune import Report, autotune, candidates, spearman
from rnnkernels.measuring import Inputs, Measured, worst
from rnnkernels.plan import broken_limits, describe, planned, predicted, ranked


def test_candidates_are_the_planned_one_then_the_best_then_others() -> None:
    call = describe("lstm", (16, 1, 12, 64), gpu="H200", direction="backward")
    found = candidates(call, top=4, random=6, also=[ranked(call, "cluster")[7][1]])
    assert found[0] == planned(call).config
    assert len(found) == len(set(found)) >= 9
    assert {config.strategy for config in found} == {"cluster", "grid"}
    assert not any(broken_limits(call, config) for config in found)
    assert candidates(call, top=4, random=6) == candidates(call, top=4, random=6)
    assert candidates(call, top=4, random=6) != candidates(call, top=4, random=6, seed=1)


def test_rank_correlation_has_textbook_values() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # IQ and hours of television, ten people: -29/165
    iq = [106, 86, 100, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 0, 27, 50, 28, 29, 20, 12, 6, 17]
    assert spearman(iq, hours) == pytest.approx(-29 / 165)
    assert spearman([1, 1, 2], [1, 1, 2]) == pytest.approx(1)


def test_a_report_leaves_out_what_is_wrong_or_failed() -> None:
    call = describe("lstm", (16, 1, 12, 64), gpu="H200")
    configs = [config for _, config in ranked(call, "cluster", 4)]
    times, errors = (200.0, 100.0, 150.0, None), (1.0, 9.0, 1.0, None)
    rows = tuple(
        Measured(config, predicted(call, config) / 1000, time, error, None if time else "hung")
        for config, time, error in zip(configs, times, errors, strict=True)
    )
    report = Report(call, rows)
    assert report.best.measured == 150
    assert report.chosen_ratio == pytest.approx(200 / 150)
    assert [row.measured for row in report.timed] == [200, 150]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_judge_accepts_pytorch_and_sees_a_wrong_result(direction: str) -> None:
    call = describe("slstm", (3, 1, 2, 16), gpu="H200", direction=direction)
    inputs = Inputs(call, 5, "cpu")
    truth = inputs.results("reference", torch.float64)
    usual = inputs.results("reference")
    assert worst(usual, truth, usual) <= 1
    wrong = [tensor.clone() for tensor in usual]
    wrong[0].view(-1)[0] += 1
    assert worst(wrong, truth, usual) > 2


@pytest.mark.gpu
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_tuning_measures_right_launches_and_keeps_the_best(
    direction: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from rnnkernels import plan as planning  # noqa: PLC0415
    from rnnkernels import tuned  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("tuned")
    monkeypatch.setattr(tuned, "cache_folder", lambda: folder)
    planning.forget()
    report = autotune("lstm", (16, 64, 3, 64), direction=direction, top=2, random=2)
    assert all(row.right for row in report.rows), report
    assert planning.choose(report.call).config == report.best.config
    planning.forget()
