"""A bundle is fitted further on newer rows: what it starts from, learns, replays and tells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from tiny import tiny_rows
from training.config import NETS, Config
from training.data.parts import without_held_out
from training.fit.step.watcher import Epoch, Watcher
from training.fit.steps import new_net
from training.state.warm_start import WarmStart, completed
from warm_starts import STEP, as_log, go_on, newer_rows, scores


@pytest.mark.parametrize("net", NETS)
def test_before_the_first_step_every_row_scores_to_the_bit_as_it_did(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: Any
) -> None:
    old = make_bundle(net)
    new = go_on(old, tmp_path / "new", newer_rows())
    assert new.manifest.dimensions.rows == old.manifest.dimensions.rows + 3
    # rows of new values too: the unknown row scored them, of which their rows are copies
    for rows in (tiny_rows(seed=3), newer_rows()):
        assert np.array_equal(scores(new, rows).logits, scores(old, rows).logits)


@pytest.mark.parametrize("net", NETS)
def test_a_bundle_has_every_parameter_of_its_net_to_the_bit(
    make_bundle: Callable[..., Bundle], net: Any
) -> None:
    bundle = make_bundle(net)
    start = WarmStart.open(bundle.directory)
    made = new_net(net, bundle.read_encoder(), start.config())
    start.load(made, bundle.read_vocabularies())
    encoded = bundle.read_encoder().encode([{"device": "ios", "ad": "a1", "price": 2.0}])
    with torch.no_grad():
        logit = made(torch.from_numpy(encoded.ids), torch.from_numpy(encoded.values))
    assert start.parameters.keys() == dict(made.named_parameters()).keys()
    expected = bundle.read_scorer().predict(encoded).logits
    assert logit.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("net", NETS)
def test_its_last_step_alone_is_fitted_and_it_learns(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: Any
) -> None:
    class Steps(Watcher):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def epoch(self, epoch: Epoch) -> None:
            self.seen.append(epoch.step)

    steps, old, rows = Steps(), make_bundle(net), newer_rows()
    new = go_on(old, tmp_path / "new", rows, STEP, steps)
    assert set(steps.seen) == {net}
    clicks = np.array([row["click"] for row in rows])

    def loss(bundle: Any) -> Any:
        p = scores(bundle, rows).probabilities
        return -np.where(clicks, np.log(p), np.log1p(-p)).mean()

    assert loss(new) < loss(old)


def test_calibration_is_fitted_anew(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    old, rows = make_bundle("fm"), newer_rows()
    for row in rows[::2]:
        row["click"] = 0
    new = go_on(old, tmp_path / "new", rows)
    assert new.manifest.calibration.shift < old.manifest.calibration.shift
    clicks = np.mean([row["click"] for row in rows])
    assert scores(new, rows).probabilities.mean() == pytest.approx(clicks, rel=1e-3)


def test_the_manifest_and_the_report_tell_what_grew(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("fm")
    new = go_on(old, tmp_path / "new", newer_rows())
    described = new.manifest.training
    assert described["from"] == old.version
    assert described["grown"] == {
        "device": {"old": 3, "new": 1},
        "hour": {"old": 24, "new": 0},
        "interests": {"old": 4, "new": 0},
        "ad": {"old": 12, "new": 2},
    }
    report = (new.directory / "report.html").read_text()
    assert f"started from the bundle of version {old.version}." in report
    assert '<tr class="t1"><td>ad</td><td>12</td><td>2</td></tr>' in report
    assert "grown." not in report


@pytest.mark.parametrize("net", ["fm", "afm+"])
def test_a_warm_start_is_held_against_the_bundle_as_it_is_served(
    make_bundle: Callable[..., Bundle], tmp_path: Path, net: str
) -> None:
    old, rows = make_bundle(net), newer_rows()
    new = go_on(old, tmp_path / "new", rows, STEP)
    facts = new.manifest.training["baseline"]
    assert (facts["bundle"], facts["rows"]) == (old.version, len(rows))
    clicks = np.array([row["click"] for row in rows])
    for bundle, figure in ((old, "first"), (new, "last")):
        p = scores(bundle, rows).probabilities
        loss = -np.where(clicks, np.log(p), np.log1p(-p)).mean()
        assert facts[figure] == pytest.approx(loss, abs=1e-5)
    assert f"today&#39;s {net} beats the bundle" in (new.directory / "report.html").read_text(), (
        facts
    )


def test_a_warm_start_of_a_task_without_probabilities_is_held_against_the_bundle_s_scores(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old, rows = make_bundle("fm", task="regression"), newer_rows()
    facts = go_on(old, tmp_path / "new", rows).manifest.training["baseline"]
    clicks = np.array([row["click"] for row in rows])
    rmse = np.sqrt(np.mean((scores(old, rows).predictions - clicks) ** 2))
    assert facts["first"] == pytest.approx(rmse, abs=1e-5)
    assert facts["last"] == facts["first"], "no step was made"


def test_bundle_of_a_warm_start_can_start_another_fit(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    second = go_on(make_bundle("afm"), tmp_path / "second", newer_rows(), STEP)
    third = go_on(second, tmp_path / "third", newer_rows(seed=8), STEP)
    assert third.manifest.training["from"] == second.version
    assert third.manifest.dimensions.rows == second.manifest.dimensions.rows + 1


def test_a_value_seen_once_each_day_is_admitted_on_the_second_but_not_by_a_replay(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    second = go_on(make_bundle("fm"), tmp_path / "second", newer_rows())
    assert "seen once" not in second.read_vocabularies()["ad"].values
    third = go_on(second, tmp_path / "third", newer_rows(seed=8))
    assert third.read_vocabularies()["ad"].values[-1] == "seen once"
    before = as_log(newer_rows(), second.schema)
    again = go_on(second, tmp_path / "again", tiny_rows(seed=8), replay=before, share=0.5)
    # all of them but those that the bundle once held out
    rule = make_bundle("fm").manifest.held_out
    assert len(without_held_out(before, second.schema, rule)) < 600
    assert second.manifest.held_out is None  # it was judged on the rows that it was trained on
    assert again.manifest.training["replayed"] == 600
    assert again.read_vocabularies()["ad"] == second.read_vocabularies()["ad"]


def test_replayed_rows_are_a_seeded_share_of_the_rows_trained_on(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old, rows = make_bundle("fm"), newer_rows()
    before = as_log(tiny_rows(rows=5000, seed=1), old.schema)
    start = WarmStart.open(old.directory).with_replay(before, 0.25)
    new = as_log(rows, old.schema)
    mixed = start.rows(new, old.schema, None, seed=1)
    assert len(mixed) == 800
    assert {name: column[:600] for name, column in mixed.columns.items()} == new.columns
    assert start.rows(new, old.schema, None, seed=1).columns == mixed.columns
    assert start.rows(new, old.schema, None, seed=2).columns != mixed.columns
    bundle = go_on(old, tmp_path / "new", rows, replay=before, share=0.25)
    assert bundle.manifest.training["replayed"] == 200


def test_a_fit_from_a_bundle_repeats_to_the_bit(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    old = make_bundle("afm+")
    before = as_log(tiny_rows(), old.schema)
    digests = [
        go_on(old, tmp_path / out, newer_rows(), STEP, replay=before).manifest.files[WEIGHTS]
        for out in ("one", "two")
    ]
    assert digests[0] == digests[1]


def test_a_configuration_that_names_no_net_goes_on_with_the_bundles(
    make_bundle: Callable[..., Bundle],
) -> None:
    config = Config(embedding=4)
    assert config.net != "afm"
    assert completed(config, make_bundle("afm")) == config.model_copy(update={"net": "afm"})
    bundle = make_bundle("ffm")
    size = bundle.manifest.dimensions.embedding
    assert completed(Config(), bundle).ffm_embedding == size
    named = Config(net="fm", ffm_embedding=size + 1)
    assert completed(named, bundle) == named
