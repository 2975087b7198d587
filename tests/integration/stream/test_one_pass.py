"""`fit --stream --one-pass`: one epoch in the order of the log, which judges itself as it goes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from model.bundle.bundle import Bundle
from model.schema import Schema
from streamed_calls import CONFIG, arguments, killed_in, streamed, weights
from tiny import TINY_SCHEMA
from training.cli import main
from training.config import Config, SizedStep
from training.data.files import Data
from training.fit.step.loop import run_step
from training.fit.step.watcher import Watcher
from training.fit.steps import new_net
from training.stream.asked import Asked
from training.stream.cache.encoded_log import EncodedLog
from training.stream.cache.shards import Shards
from training.stream.encode_log import encoded_log


def log_of(home: Path) -> EncodedLog:
    data, schema = Data((home / "log.csv",)), Schema.parse(TINY_SCHEMA)
    return encoded_log(data, schema, Asked(0.1), 1, lambda _: None)


def windows_of(home: Path, out: str) -> Any:
    epochs = Bundle.open(home / out).manifest.training["epochs"]
    assert len(epochs) == 1
    return epochs[0]["windows"]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("readers", [1, 3])
def test_the_rows_come_in_the_order_of_the_log(home: Path, readers: int) -> None:
    rows = Shards(log_of(home), 7, readers, one_pass=True)
    for behind in (0, 5):
        at = torch.cat([fed.at for fed in rows.batches(64, 1, behind)])
        assert torch.equal(at, torch.arange(64 * behind, len(rows)))


class Lines(Watcher):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, line: str) -> None:
        self.lines.append(line)


def test_each_row_is_judged_by_the_net_that_the_rows_before_it_have_made(home: Path) -> None:
    log = log_of(home)
    rows = Shards(log, 7, 1, one_pass=True)
    torch.manual_seed(3)
    net = new_net("fm", log.encoder, Config(embedding=4))
    other = copy.deepcopy(net)
    penalties: Any = {"l2_linear": 0.0, "l2_embedding": 0.0, "dropout": 0.0}
    step = SizedStep(epochs=1, batch=32, learning_rate=0.01, count_classes=False, **penalties)
    said = Lines()
    judged = rows.every(10)
    epochs, _ = run_step(
        *("fm", net, step, rows, judged, lambda ids: ids, said), kernels=False, one_pass=True
    )
    optimiser = torch.optim.Adam(other.parameters(), lr=0.01)
    scores = []
    for fed in rows.batches(32):
        score = other(fed.ids, fed.values)
        scores.append(score.detach())
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, rows.labels[fed.at])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    chances, labels = torch.cat(scores).double().sigmoid().numpy(), rows.labels.numpy()
    windows: Any = epochs[0].windows
    assert len(windows) == len(said.lines) > 10
    assert sum(window["rows"] for window in windows) == len(rows)
    for window in windows:
        some = slice(window["first"], window["first"] + window["rows"])
        assert window["loss"] == pytest.approx(log_loss(labels[some], chances[some]), abs=1e-5)
        assert window["auc"] == pytest.approx(roc_auc_score(labels[some], chances[some]), abs=1e-4)


@pytest.mark.usefixtures("small_shards")
def test_a_pass_ended_at_any_batch_goes_on_to_the_same_weights_and_figures(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(streamed(home, "whole", "--one-pass", net="afm")) == 0
    printed = capsys.readouterr().err
    windows = windows_of(home, "whole")
    assert printed.count("each before it was trained on") == len(windows) > 10
    assert f"auc {windows[-1]['auc']:.4f}" in printed
    manifest = Bundle.open(home / "whole").manifest
    assert manifest.calibration.scale != 1
    assert "Before training" in (home / "whole" / "report.html").read_text()
    for batch, readers in ((1, 3), (17, 2), (26, 1)):
        more = "--one-pass", "--readers", readers
        fit = streamed(home, "bundle", *more, "--checkpoint-seconds", 1e-9, net="afm")
        killed_in(monkeypatch, fit, batch)
        assert main(streamed(home, "bundle", *more, "--resume", net="afm")) == 0
        assert "continues behind" in capsys.readouterr().err
        assert weights(home, "bundle") == weights(home, "whole")
        assert windows_of(home, "bundle") == windows
        (home / "bundle").rename(home / f"bundle-{batch}")
    fit = streamed(home, "bundle", "--checkpoint-seconds", 1e-9, net="afm")
    killed_in(monkeypatch, fit, 5)
    assert main(streamed(home, "bundle", "--one-pass", "--resume", net="afm")) != 0
    assert "another order of the rows" in capsys.readouterr().err


def test_a_window_without_weight_has_no_figures(home: Path) -> None:
    rows = [line.split(",") for line in (home / "log.csv").read_text().splitlines()]
    lines = [[*rows[0], "worth"], *([*row, str(int(at > 900))] for at, row in enumerate(rows[1:]))]
    (home / "log.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    (home / "schema.toml").write_text(f'weight = "worth"\n{TINY_SCHEMA}')
    assert main(streamed(home, "bundle", "--one-pass")) == 0
    windows = windows_of(home, "bundle")
    assert windows[0]["loss"] is None
    assert windows[0]["auc"] is None
    assert windows[-1]["auc"] > 0.5
    assert json.dumps(windows, allow_nan=False)


def test_one_pass_alone_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(home, "bundle", "--one-pass")) != 0
    assert "--one-pass: goes with --stream" in capsys.readouterr().err
    assert CONFIG in (home / "config.toml").read_text()
