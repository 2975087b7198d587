"""Dropout on random bytes: its share, its mean, and where it does nothing."""

import numpy as np
import pytest
import torch

from model.nets.dropout import Dropout


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    torch.manual_seed(0)
    dropout = Dropout(0.25).train()
    dropped = dropout(torch.ones(1000, 333))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.005)
    assert dropped.max() == pytest.approx(1 / 0.75)


def test_dropout_does_nothing_outside_training_or_at_rate_zero() -> None:
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


def test_dropout_drops_elements_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(4096, 64)) != 0).double()
    shares = kept.mean(0)
    assert shares.sub(0.5).abs().max() < 0.05, "each of the eight bytes of a draw must be fair"
    neighbours = np.corrcoef(kept[:, :-1].flatten(), kept[:, 1:].flatten())[0, 1]
    assert abs(neighbours) < 0.01
