"""What the README shows is what happens, and what it points to is there."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT)))
MOST_BYTES = 300_000  # of a picture
KERNELS = (  # backend, heads, head_dim and what was timed
    ("auto", 12, 64, "fw_api"),
    ("vanilla", 12, 64, "fw_api"),
    ("compiled_step_cudagraph", 12, 64, "fw_api"),
    ("auto", 12, 64, "fwbw_api"),
    ("vanilla", 12, 64, "fwbw_api"),
    ("auto", 1, 2048, "fw_api"),
    ("cudnn", 1, 2048, "fw_api"),
)


def test_the_example_gives_the_output_shown() -> None:
    done = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert done.attempted >= 9
    assert done.failed == 0


@pytest.mark.parametrize("link", LINKS)
def test_what_it_points_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < MOST_BYTES, picture.name


def test_the_measured_figures_are_those_recorded() -> None:
    table = TEXT.split("## Measured")[1].split("## ")[0]
    assert not [
        figure
        for figure in recorded_figures()
        if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", table)
    ]


def results(name: str) -> Any:
    return json.loads((ROOT / "data" / "results" / name).read_text(encoding="utf-8"))


def recorded_figures() -> list[str]:
    listed = next(
        target["found"]
        for target in results("solver_bench.json")["targets"]
        if target["target"].startswith("enumerate >= 10x")
    )
    least, median = re.findall(r"(?:least|median) ([\d.]+)x", listed)[:2]
    kernels = {
        (row["backend"], row["heads"], row["head_dim"], row["what"]): f"{row['ms']:.3g} ms"
        for row in results("rnn_h200.json")["results"]
        if row["cell"] == "lstm" and row["batch"] == 16
    }
    simulated = [
        rate["f1"]
        for method in results("clumps_simulated.json")["methods"]
        for rate in method["rates"]
        if (rate["criterion"], rate["min_flux_ratio"]) == ("within_fwhm", 0.03)
    ]
    folds = {
        method["name"]: f"F1 {method['rates'][0]['f1']:.2f}"
        for method in results("clumps_s82_folds.json")["methods"]
    }
    return [
        f"{float(median):.1f} times",
        f"{float(least):.1f} at least",
        *(kernels[key] for key in KERNELS),
        f"F1 {simulated[0]:.2f}",
        f"{max(simulated[1:]):.2f}",
        folds["fine-tuned on the other folds, judged"],
        folds["zero-shot"].removeprefix("F1 "),
    ]
