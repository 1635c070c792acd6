"""Training: what is learnt, exact resume, checkpoints whole, models of one size that look back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from workbench.errors import WorkbenchError
from workbench.statetracking import checkpoint, models, study
from workbench.statetracking.settings import MODELS, Settings
from workbench.statetracking.tasks import TASKS
from workbench.statetracking.training import Training, summary

if TYPE_CHECKING:
    from pathlib import Path

TINY = Settings("parity", length=8, hidden=16, batch=32, steps=100, learning_rate=1e-2, warmup=20)
EVERY_MODEL = pytest.mark.parametrize("model", MODELS)


@pytest.mark.parametrize("model", ["lstm", "slstm"])
def test_a_recurrent_network_learns_parity_and_reads_words_four_times_as_long(model: str) -> None:
    run = Training(replace(TINY, model=model, batch=64, steps=300, hidden=32))
    assert summary(run.accuracy(256), 8)["beyond"] < 0.6
    assert run.advance()
    found = summary(run.accuracy(), 8)
    assert found["last"] > 0.99
    assert found["beyond"] > 0.99
    assert run.curve[-1]["loss"] < 0.05


def test_a_transformer_of_the_same_size_does_not_carry_parity_on() -> None:
    run = Training(replace(TINY, model="transformer", batch=64, steps=300, hidden=32,
                           learning_rate=1e-3))  # fmt: skip
    run.advance()
    found = summary(run.accuracy(), 8)
    assert found["within"] > 0.6  # it has learnt something
    assert found["beyond"] < 0.6


@EVERY_MODEL
def test_a_run_that_was_broken_off_goes_on_to_the_same_weights(model: str, tmp_path: Path) -> None:
    settings = replace(TINY, model=model, hidden=32)
    whole = Training(settings)
    whole.advance()
    path = tmp_path / "run.safetensors"
    assert not Training(settings).advance(lambda row: row["step"] < 50, path)
    run = Training.resumed(path, settings)
    assert run.step == 50
    assert [row["step"] for row in run.curve] == [25, 50]
    assert run.advance(path=path)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name
    shared = ("step", "length", "loss", "accuracy")
    rows = [[{key: row[key] for key in shared} for row in one.curve] for one in (whole, run)]
    assert rows[0] == rows[1]
    assert Training.resumed(path, settings).done
    kept, about = checkpoint.load(path)
    assert about["settings"] == settings.to_dict()
    for name, value in run.model.state_dict().items():
        assert torch.equal(kept[f"model.{name}"], value), name


def test_an_error_between_rows_leaves_the_last_whole_row(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run = Training(TINY)
    run.advance(lambda row: row["step"] < 25, path)
    before = path.read_bytes()

    def broken(_module: object, _letters: object) -> None:
        if run.step == 40:
            raise KeyboardInterrupt

    run.model.register_forward_pre_hook(broken)
    with pytest.raises(KeyboardInterrupt):
        run.advance(path=path)
    assert path.read_bytes() == before
    assert Training.resumed(path, TINY).step == 25
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_checkpoints_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    Training(TINY).save(path)
    with pytest.raises(WorkbenchError, match=r"other settings \(hidden, seed differ\)"):
        Training.resumed(path, replace(TINY, hidden=32, seed=1))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WorkbenchError, match="no checkpoint of a run"):
        Training.resumed(path, TINY)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WorkbenchError, match="expected format flashclump-states-1"):
        checkpoint.load(path)


@EVERY_MODEL
@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_no_model_sees_the_future(model: str, positions: str) -> None:
    settings = Settings("s5", model, hidden=32, positions=positions)
    network = models.build(settings).eval()
    letters = torch.from_numpy(TASKS["s5"].words(3, 12, 0)[0])
    changed = letters.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 11
    with torch.no_grad():
        before, after = network(letters), network(changed)
    assert before.shape == (3, 12, 120)
    torch.testing.assert_close(before[:, :7], after[:, :7], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)


def test_order_matters_to_a_transformer_with_positions_and_is_relative() -> None:
    x = torch.randn(1, 1, 6, 8)
    scores = models.rotate(x) @ models.rotate(x.flip(-1)).transpose(-1, -2)
    later = torch.cat([torch.zeros(1, 1, 3, 8), x], 2)
    moved = models.rotate(later) @ models.rotate(
        torch.cat([torch.zeros(1, 1, 3, 8), x.flip(-1)], 2)
    ).transpose(-1, -2)
    torch.testing.assert_close(scores, moved[..., 3:, 3:], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores, x @ x.flip(-1).transpose(-1, -2))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("full", [True, False])
def test_compared_models_have_as_many_parameters(task: str, *, full: bool) -> None:
    sizes = [models.parameters(models.build(s)) for s in study.compared(task, MODELS, full=full)]
    assert sizes[0] == sizes[1]
    assert sizes[2] == pytest.approx(sizes[0], rel=0.01)


def test_words_grow_to_the_length_of_training() -> None:
    settings = replace(TINY, length=64, steps=1000, growth=0.4)
    lengths = [settings.length_at(step) for step in range(1000)]
    assert [lengths[k] for k in (0, 99, 100, 200, 300, 399, 400, 999)] == [
        4, 4, 8, 16, 32, 32, 64, 64,
    ]  # fmt: skip
    assert replace(TINY, length=2).length_at(0) == 2
    assert replace(TINY, growth=0.0).length_at(0) == 8


def test_bfloat16_learns_too() -> None:
    run = Training(replace(TINY, batch=64, steps=300, hidden=32, precision="bfloat16"))
    run.advance()
    assert all(p.dtype == torch.float32 for p in run.model.parameters())
    assert summary(run.accuracy(256), 8)["last"] > 0.99


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "s4"}, "unknown task 's4'"),
        ({"model": "gru"}, "model: expected one of lstm, slstm, transformer, got 'gru'"),
        ({"positions": "learned"}, "positions: expected one of rotary, none"),
        ({"precision": "float16"}, "precision: expected float32 or bfloat16"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"hidden": 10, "heads": 3}, "heads: expected a divisor of hidden 10, got 3"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        replace(TINY, **wrong)


def test_a_transformer_cannot_be_as_small_as_any_lstm() -> None:
    with pytest.raises(WorkbenchError, match="no Transformer of 3 layers is as small"):
        models.build(replace(TINY, model="transformer"))


@pytest.mark.gpu
@EVERY_MODEL
def test_trains_on_a_gpu(model: str) -> None:
    run = Training(replace(TINY, model=model, batch=64, hidden=32, steps=300), "cuda")
    run.advance()
    assert (summary(run.accuracy(), 8)["last"] > 0.99) == (model != "transformer")
