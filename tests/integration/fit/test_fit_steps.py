"""The steps of a fit: a net with attention continues from a fitted one."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from tiny import TINY_SCHEMA, tiny_rows
from training.config import AFMPlusParts, Config, Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.objective import CLICK
from training.fit.step.watcher import Watcher
from training.fit.steps import Steps, fit_net

CLICKS = np.array([row["click"] for row in tiny_rows()], np.float32)


def small_log() -> tuple[Encoder, Examples]:
    """The small log's encoder, and its rows."""
    schema, rows = Schema.parse(TINY_SCHEMA), tiny_rows()
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    fields = schema.fields.items()
    encoder = Encoder(schema, {name: fit_vocabulary(f, columns[name]) for name, f in fields})
    return encoder, Examples.of(encoder.encode(rows), CLICKS, None)


def fitted(net: Any, attention: Any, start: Any = "fm", seed: Any = 1) -> Any:
    """A net after both of its steps, and its epochs."""
    encoder, train = small_log()
    torch.manual_seed(seed)
    step = Step(epochs=3, batch=128, learning_rate=0.02)
    parts = AFMPlusParts(start=start)
    config = Config(net=net, embedding=4, fit=step, attention=attention, afm_plus=parts)
    made, epochs, *_ = fit_net(Steps(config, encoder, train, train, Watcher()))
    return logits(made, train), epochs


def test_the_loss_that_a_step_is_kept_for_is_the_one_that_it_is_left_at() -> None:
    # few rows held out have a click rate of their own, which a level that is settled after the
    # judging loses again
    schema = Schema.parse(TINY_SCHEMA)
    parts = tiny_rows(rows=400, seed=1), tiny_rows(rows=60, seed=2)
    columns = {name: [row[name] for row in parts[0]] for name in schema.fields}
    fields = schema.fields.items()
    encoder = Encoder(schema, {name: fit_vocabulary(f, columns[name]) for name, f in fields})
    train, valid = (
        Examples.of(encoder.encode(rows), np.array([r["click"] for r in rows], np.float32), None)
        for rows in parts
    )
    step = Step(epochs=6, batch=64, learning_rate=0.02)

    def kept(net: Any) -> Any:
        torch.manual_seed(1)
        parts = AFMPlusParts(start="fm")
        config = Config(net=net, embedding=4, fit=step, attention=step, afm_plus=parts)
        trained = fit_net(Steps(config, encoder, train, valid, Watcher()))
        least = {epoch.step: epoch.valid_loss for epoch in trained.epochs if epoch.best}
        return trained, least, CLICK.judge(logits(trained.net, valid), valid).loss

    _, fm, alone = kept("fm")
    plus, least, ended = kept("afm+")
    began = CLICK.judge(plus.first, valid).loss
    assert fm["fm"] == pytest.approx(alone, abs=1e-6)
    assert began == pytest.approx(alone, abs=1e-6), "FM as it is when fitted alone"
    assert ended == pytest.approx(least.get("afm+", began), abs=1e-6)
    assert ended <= began + 1e-6


@pytest.mark.parametrize("start", ["fm", "fwfm"])
def test_afm_plus_goes_on_from_a_fitted_net_and_never_ends_below_it(start: str) -> None:
    before, epochs = fitted(start, Step())
    ruinous, more = fitted("afm+", Step(epochs=2, batch=64, learning_rate=50.0), start)
    assert [epoch.step for epoch in more] == [start] * 3 + ["afm+"] * 2
    assert [e.valid_loss for e in more[:3]] == [e.valid_loss for e in epochs]
    assert not any(epoch.best for epoch in more[3:]), "the step must do harm to mean anything"
    assert ruinous.tolist() == pytest.approx(before.tolist(), abs=1e-6)


def test_afm_plus_goes_on_from_the_better_of_fm_and_fwfm() -> None:
    chosen = set()
    for seed in range(1, 7):
        found, epochs = fitted("afm+", Step(epochs=0), "best", seed)
        assert [epoch.step for epoch in epochs] == ["fm"] * 3 + ["fwfm"] * 3
        loss = np.logaddexp(0, -found * (2 * CLICKS - 1)).mean()
        best = min(epochs, key=lambda epoch: epoch.valid_loss)
        assert loss == pytest.approx(best.valid_loss, abs=1e-6)
        chosen.add(best.step)
    assert chosen == {"fm", "fwfm"}, "else neither is shown to be chosen"


def test_afm_plus_gains_on_its_fm_where_there_is_something_to_gain() -> None:
    _, epochs = fitted("afm+", Step(epochs=5, batch=128, learning_rate=5e-3))
    best = {
        name: min(epoch.valid_loss for epoch in epochs if epoch.step == name)
        for name in ("fm", "afm+")
    }
    assert best["afm+"] < best["fm"] - 0.001


def test_the_configurations_that_ship_are_read(request: pytest.FixtureRequest) -> None:
    shipped = sorted((request.config.rootpath / "training" / "configs").glob("frappe-*.toml"))
    schemas = [path for path in shipped if path.name.endswith("schema.toml")]
    assert [Schema.load(path).task for path in schemas] == ["regression", "click"]
    read = [Config.load(path) for path in shipped if path not in schemas]
    assert [config.net for config in read] == ["afm+", "afm", "afm", "ffm", "fm", "fwfm", "nfm"]


@pytest.mark.parametrize("net", ["lr", "ffm", "nfm", "afm", "afm+"])
def test_weights_are_the_same_on_any_number_of_cores(net: Any) -> None:
    before, found = torch.get_num_threads(), []
    for cores in (1, 2, 3, 5):
        torch.set_num_threads(cores)
        try:
            found.append(weights(net))
        finally:
            torch.set_num_threads(before)
    assert all(torch.equal(one, found[0]) for one in found)


def weights(net: Any) -> Tensor:
    """Of a net after its steps, in a row."""
    encoder, train = small_log()
    torch.manual_seed(1)
    step = Step(epochs=1, batch=128, learning_rate=0.02)
    config = Config(net=net, embedding=16, fit=step, attention=step)
    made = fit_net(Steps(config, encoder, train, train, Watcher())).net
    return torch.cat([parameter.detach().flatten() for parameter in made.parameters()])
