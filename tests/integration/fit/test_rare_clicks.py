"""Rare clicks: what attention does on an FM whose embeddings vanished under their penalty."""

from typing import Any

import numpy as np
import pytest
import torch

from model.nets import NetSizes, build
from training.config import Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.loop import run_step
from training.fit.step.objective import CLICK
from training.fit.step.watcher import Watcher

SIZES = [0.0, 1e-30, 1e-22, 1e-10, 1e-3, 0.3]


def from_fm(name: Any, size: Any, rows: Any) -> Any:
    """A net that continues from an FM with embeddings of this deviation, and the FM."""
    torch.manual_seed(1)
    settings = NetSizes(embedding=4, attention=4)
    fm: Any = build("fm", 12, (0, 1, 2), settings)
    made = build(name, 12, (0, 1, 2), settings)
    with torch.no_grad():
        fm.embedding.normal_(std=size)
    made.start_from(fm, rows.ids, rows.values)
    return made, fm


@pytest.fixture
def rows() -> Any:
    rng = np.random.default_rng(1)
    ids = torch.from_numpy(rng.integers(0, 12, (2000, 3)))
    clicks = torch.zeros(2000)
    clicks[:4] = 1.0
    return Examples(ids, torch.ones(2000, 3), clicks, torch.ones(2000))


@pytest.mark.parametrize("net", ["afm", "afm+"])
@pytest.mark.parametrize("size", SIZES)
def test_attention_begins_at_fm_whatever_the_size_of_its_embeddings(
    net: str, size: Any, rows: Any
) -> None:
    made, fm = from_fm(net, size, rows)
    assert all(torch.isfinite(parameter).all() for parameter in made.parameters())
    assert logits(made, rows) == pytest.approx(logits(fm, rows), abs=0.01)


@pytest.mark.parametrize("net", ["afm", "afm+"])
@pytest.mark.parametrize("size", SIZES)
def test_attention_on_embeddings_that_vanished_is_fitted_without_a_loss_that_is_not_finite(
    net: str, size: Any, rows: Any
) -> None:
    made, fm = from_fm(net, size, rows)
    start = CLICK.judge(logits(fm, rows), rows).loss
    step = Step(epochs=2, batch=500, learning_rate=0.01)
    epochs, _ = run_step(net, made, step, rows, rows, lambda ids: ids, Watcher())
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert [epoch.diverged for epoch in epochs] == [0, 0]
    assert CLICK.judge(logits(made, rows), rows).loss <= start + 1e-3
