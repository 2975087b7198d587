"""Several settings of a step are tried where none is given; the best one is kept and recorded."""

from typing import Any

import numpy as np
import pytest
import torch

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from narrowing import not_none
from training.config import FEWEST_TO_CHOOSE, TRIED, Config, NetName, Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.objective import CLICK
from training.fit.step.watcher import Watcher
from training.fit.steps import Served, Steps, fit_net, new_net

SCHEMA = Schema.parse(
    'label = "y"\n[fields.site]\nkind = "categorical"\n[fields.ad]\nkind = "categorical"\n'
)


class Seen(Watcher):
    """What was tried, and the loss of each epoch by what its step was called."""

    def __init__(self) -> None:
        self.settings: dict[Any, Any] = {}
        self.losses: dict[Any, Any] = {}

    def tries(self, step: Any, settings: Any) -> None:
        self.settings[step] = settings

    def epoch(self, epoch: Any) -> None:
        self.losses.setdefault(epoch.step, []).append(epoch.valid_loss)


def log_of(rows: Any) -> Any:
    """An encoder, and rows of which half those are clicked whose site is their ad's."""
    rng = np.random.default_rng(1)
    names = {"site": rng.integers(0, 9, rows), "ad": rng.integers(0, 9, rows)}
    clicks = (rng.random(rows) < 0.1 + 0.8 * (names["site"] == names["ad"])).astype(np.float32)
    columns = {name: [f"v{n}" for n in numbers] for name, numbers in names.items()}
    known = {name: fit_vocabulary(f, columns[name]) for name, f in SCHEMA.fields.items()}
    encoder = Encoder(SCHEMA, known)
    return encoder, Examples.of(encoder.encode_columns(columns, rows), clicks, None)


@pytest.mark.parametrize("net", ["fm", "afm"])
def test_of_the_settings_tried_one_with_a_clearly_lower_loss_is_kept(net: NetName) -> None:
    rows = FEWEST_TO_CHOOSE
    encoder, train = log_of(rows)
    torch.manual_seed(1)
    seen, last = Seen(), Step(epochs=1)
    # uncalibrated, the losses that are compared are those of the epochs
    config = Config(net=net, embedding=4, fit=Step(epochs=2), attention=last, calibration="none")
    trained = fit_net(Steps(config, encoder, train, train, seen))
    assert list(seen.settings) == ["fm", "fm 2", "fm 3"]
    lowest = {name: min(seen.losses[name]) for name in seen.settings}
    best = min(lowest, key=lowest.__getitem__)
    assert trained.step == seen.settings[best]
    step = not_none(trained.step)
    assert (step.l2_embedding * rows, step.l2_linear * rows, step.dropout) in [
        pytest.approx(one[:3]) for one in TRIED
    ]
    kept = [epoch.valid_loss for epoch in trained.epochs if epoch.step == "fm"]
    assert kept == seen.losses[best]
    if net == "fm":
        assert CLICK.judge(logits(trained.net, train), train).loss == pytest.approx(lowest[best])


def test_settings_are_compared_as_calibration_will_have_them_served() -> None:
    encoder, rows = log_of(1000)
    torch.manual_seed(1)  # others may draw a line of calibration that falls, which none can do
    net = new_net("lr", encoder, Config())
    with torch.no_grad():
        net.linear.normal_()
    as_served = Steps(Config(), encoder, rows, rows, Watcher())
    as_it_is = Steps(Config(calibration="none"), encoder, rows, rows, Watcher())
    found, plain = as_served.as_served(net), as_it_is.as_served(net)
    with torch.no_grad():
        net.linear.mul_(0.25)
    assert as_served.as_served(net).loss == pytest.approx(found.loss, rel=1e-5)
    assert as_served.as_served(net).each == pytest.approx(found.each, abs=1e-4)
    assert as_it_is.as_served(net).loss != pytest.approx(plain.loss, rel=0.01)


@pytest.mark.parametrize(("gain", "better"), [(-0.01, False), (0.002, False), (0.02, True)])
def test_settings_tried_later_must_be_better_by_more_than_chance(gain: float, better: bool) -> None:
    # the standard error of a gain in the mean of 400 rows is 0.1 / 20
    rng = np.random.default_rng(1)
    kept = rng.random(400)
    apart = rng.permutation(np.repeat([-0.1, 0.1], 200))
    found, ones = kept - gain + apart, np.ones(400)
    assert Served(found.mean(), found).is_better(Served(kept.mean(), kept), ones) is better
    weights = np.where(apart < 0, 1.0, 0.0)  # where only rows count that gained the same
    heavy = [Served(float(weights @ each / 200), each) for each in (found, kept)]
    assert heavy[0].is_better(heavy[1], weights)
    without = Served(found.mean(), None), Served(kept.mean(), None)
    assert without[0].is_better(without[1], ones) is (gain > 0)


def test_of_settings_that_seem_equally_good_the_first_are_kept() -> None:
    encoder, rows = log_of(FEWEST_TO_CHOOSE)
    few = rows.every(25)  # 200 rows held out: what they prefer is chance
    step = Step(epochs=3, dropout=0.0, l2_linear=0.0, learning_rate=1e-2)
    config = Config(net="fm", embedding=4, fit=step, calibration="none", kernels=False)
    torch.manual_seed(2)
    seen = Seen()
    trained = fit_net(Steps(config, encoder, rows, few, seen))
    lowest = {name: min(losses) for name, losses in seen.losses.items()}
    assert lowest["fm 3"] < lowest["fm"]
    assert trained.step == seen.settings["fm"]
