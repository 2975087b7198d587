"""`afm-train fit --stream` for task ranking: the fit in memory, but for the order of the groups."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fit_calls import write_csv
from model.bundle.bundle import Bundle
from model.bundle.files import GOLDEN, VALIDATION, WEIGHTS
from model.schema import Schema
from ranked_log import RANKING, ranked_rows
from streamed_calls import (
    AT_ONCE,
    CONFIG,
    arguments,
    equal_but_for_the_order,
    killed_in,
    streamed,
    weights,
)
from training.cli import main
from training.config import Config, SizedStep
from training.data.files import Data
from training.data.read_log import read_log
from training.fit.beginnings import FromScratch
from training.fit.material import Material, Streamed, material_of, streamed_material
from training.fit.step.loop import run_step
from training.fit.step.watcher import Watcher
from training.fit.steps import new_net
from training.state.checkpoint import checkpoint_path
from training.stream import blocks
from training.stream.cache import pieces


@pytest.fixture(autouse=True)
def ranked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of the folder is one for task ranking, of which a block has few groups."""
    monkeypatch.setattr(blocks, "TEXT_BYTES", 5000)
    monkeypatch.setattr(pieces, "ROWS", 300)
    write_csv(home / "log.csv", ranked_rows(2000))
    (home / "schema.toml").write_text(RANKING)


@pytest.mark.parametrize("loss", ["pairwise", "listwise"])
def test_the_bundle_is_that_of_the_log_in_memory_but_for_the_order_of_its_groups(
    home: Path, loss: str
) -> None:
    (home / "config.toml").write_text(f'loss = "{loss}"\n{CONFIG}')
    one, other = equal_but_for_the_order(home)
    assert other.training["criterion"] == f"{loss} loss"
    best = [min(e["valid_loss"] for e in made.training["epochs"]) for made in (one, other)]
    assert best[0] == pytest.approx(best[1], rel=0.05)
    assert all(e["train_loss"] > 0 for e in other.training["epochs"])


@pytest.mark.parametrize(("loss", "more"), [("pairwise", ("--from", "BUNDLE")), ("listwise", ())])
def test_the_same_net_is_judged_the_same_on_groups_that_are_on_disk(
    home: Path, loss: str, more: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in AT_ONCE:
        monkeypatch.setattr(f"training.{module}.AT_ONCE", 512)
    rows = [row | {"worth": at % 3} for at, row in enumerate(ranked_rows(4000))]
    (home / "schema.toml").write_text(f'weight = "worth"\n{RANKING}')
    if more:
        write_csv(home / "log.csv", rows[:700])
        assert main(arguments(home, "before")) == 0
        more = "--from", home / "before"
    write_csv(home / "log.csv", rows)
    untrained = CONFIG.replace("epochs = 3", "epochs = 0")
    kept = f'loss = "{loss}"\nvalidation_rows = 500\nvalid_share = 0.4\n'
    (home / "config.toml").write_text(kept + untrained)
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)  # of which a report has several
    assert main(arguments(home, "memory", *more)) == 0
    assert main(streamed(home, "stream", *more)) == 0
    for name in (WEIGHTS, VALIDATION, GOLDEN, "report.html"):
        assert (home / "stream" / name).read_bytes() == (home / "memory" / name).read_bytes()
    memory, stream = (Bundle.open(home / name) for name in ("memory", "stream"))
    assert stream.manifest.metrics["valid"]["gauc"] is not None
    for part in ("metrics", "training", "warnings", "held_out"):
        assert getattr(stream.manifest, part) == getattr(memory.manifest, part)


def gauc_of(material: Material, seed: int) -> float:
    """Of a net fm after some epochs, on the rows held out."""
    torch.manual_seed(seed)
    net = new_net("fm", material.encoder, Config(embedding=4))
    penalties: Any = {"l2_linear": 0.0, "l2_embedding": 1e-4, "dropout": 0.0}
    step = SizedStep(epochs=8, batch=128, learning_rate=0.01, count_classes=False, **penalties)
    rows = material.rows
    epochs, _ = run_step(
        *("fm", net, step, rows.seen, rows.held_out, lambda ids: ids, Watcher()),
        material.parts.objective,
    )
    return max(epoch.valid_auc or 0 for epoch in epochs)


@pytest.mark.usefixtures("small_shards")
def test_a_streamed_fit_ranks_as_well_as_one_in_memory(home: Path) -> None:
    write_csv(home / "log.csv", ranked_rows(5000))
    data, schema = Data((home / "log.csv",)), Schema.parse(RANKING)
    config, log = Config(valid_share=0.3), read_log(home / "log.csv", schema)
    on_disk = Streamed(data, 2, lambda _: None)
    figures: dict[str, list[float]] = {"memory": [], "stream": []}
    for seed in (1, 2):
        memory = material_of(FromScratch(), log, None, None, schema, config, seed)
        encoded = on_disk.encoded(schema, config, seed, holds_out=True)
        stream = streamed_material(encoded, None, None, config, seed, 2)
        figures["memory"].append(gauc_of(memory, seed))
        figures["stream"].append(gauc_of(stream, seed))
    means = {name: float(np.mean(found)) for name, found in figures.items()}
    assert means["memory"] > 0.65
    assert means["stream"] == pytest.approx(means["memory"], abs=0.015)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    ("net", "loss", "one_pass"),
    [("afm", "pairwise", False), ("fm", "listwise", False), ("fm", "pairwise", True)],
)
def test_a_fit_ended_within_any_epoch_goes_on_to_the_same_weights(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    net: str,
    loss: str,
    one_pass: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (home / "config.toml").write_text(f'loss = "{loss}"\n{CONFIG}')
    order = ["--one-pass"] if one_pass else []
    assert main(streamed(home, "whole", *order, net=net)) == 0
    for readers, batch in ((1, 1), (2, 19), (3, 24 if one_pass else 41)):
        how = [*order, "--readers", readers]
        often = [*how, "--checkpoint-seconds", 1e-9]
        killed_in(monkeypatch, streamed(home, "bundle", *often, net=net), batch)
        capsys.readouterr()
        assert main(streamed(home, "bundle", "--resume", *how, net=net)) == 0
        assert "continues" in capsys.readouterr().err
        assert weights(home, "bundle") == weights(home, "whole")
        assert not checkpoint_path(home / "bundle").exists()
        epochs = [Bundle.open(home / n).manifest.training["epochs"] for n in ("bundle", "whole")]
        assert [e.get("windows") for e in epochs[0]] == [e.get("windows") for e in epochs[1]]
        (home / "bundle").rename(home / f"bundle-{readers}")


def test_one_pass_judges_windows_of_whole_groups(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(streamed(home, "bundle", "--one-pass")) == 0
    (epoch,) = Bundle.open(home / "bundle").manifest.training["epochs"]
    windows = epoch["windows"]
    log = read_log(home / "log.csv", Schema.parse(RANKING))
    assert len(windows) > 5
    assert sum(window["rows"] for window in windows) < len(log)
    assert all(window["loss"] > 0 and 0 < window["auc"] < 1 for window in windows)
    assert np.mean([window["auc"] for window in windows[-5:]]) > 0.5
    printed = capsys.readouterr().err
    assert printed.count("each before it was trained on") == len(windows)
    assert "Before training" in (home / "bundle" / "report.html").read_text()


def test_given_groups_are_judged_on_in_place_of_some_of_the_log(home: Path) -> None:
    write_csv(home / "valid.csv", ranked_rows(400, seed=5))
    valid = "--valid", home / "valid.csv"
    assert main(arguments(home, "memory", *valid)) == 0
    assert main(streamed(home, "stream", *valid)) == 0
    memory, stream = (Bundle.open(home / name) for name in ("memory", "stream"))
    assert stream.manifest.held_out is None
    assert stream.manifest.metrics["valid"]["rows"] == 400
    assert stream.read_vocabularies() == memory.read_vocabularies()


def test_a_rate_of_negatives_stays_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(streamed(home, "bundle", "--negatives-rate", 0.5)) != 0
    assert "a rate of negatives is for task click" in capsys.readouterr().err
    assert not (home / "cache" / "ctr-afm" / "logs").exists()


def test_a_group_that_comes_again_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ranked_rows(500)
    rows[-1]["visit"] = rows[0]["visit"]
    write_csv(home / "log.csv", rows)
    assert main(streamed(home, "bundle")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("afm-train: ")
    assert "row 500: group" in last
    assert "sort the log by 'visit'" in last
    assert not (home / "bundle").exists()
    assert main(arguments(home, "memory")) == 0
