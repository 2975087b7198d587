"""`afm-train fit`, `evaluate` and `predict`, called as a user calls them."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from bundle_parts import probabilities_of, values_of
from interrupted import interrupted, long_command
from model import nets
from model.bundle.bundle import Bundle
from model.bundle.golden import replay
from model.encoding import Encoder
from model.schema import Schema
from model.vocabulary import fit_vocabulary
from narrowing import not_none
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import NETS, AFMPlusParts, Config, Step
from training.data.examples import Examples
from training.fit.step.logits import logits
from training.fit.step.objective import CLICK
from training.fit.step.watcher import Watcher
from training.fit.steps import Steps, fit_net

FAST = """
embedding = 4
attention_size = 4
[fit]
epochs = 2
batch = 128
[attention]
epochs = 1
batch = 128
"""


def write_csv(path: Any, rows: Any) -> Any:
    cells = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    ]
    pl.DataFrame(cells, infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Any:
    write_csv(tmp_path / "log.csv", tiny_rows())
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path


def fit(home: Any, *more: Any, data: Any = "log.csv", out: Any = "bundle") -> Any:
    arguments = [
        "--schema",
        home / "schema.toml",
        "--config",
        home / "fast.toml",
        "--out",
        home / out,
    ]
    return main(["fit", str(home / data), *map(str, arguments), *map(str, more)])


def refused(capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2
    lines = printed.err.splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("afm-train: ")
    for part in says:
        assert part in lines[0]


def test_fit_writes_a_bundle_that_scores_as_it_says(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(home) == 0
    printed = capsys.readouterr()
    assert "parity: torch and onnxruntime agree" in printed.out
    epochs, _, after = printed.err.partition("now: calibration")
    assert "epoch" in epochs
    assert "now: graphs, metrics and report" in after
    bundle = Bundle.open(home / "bundle")
    replay(bundle.read_golden(), bundle.read_encoder(), bundle.read_scorer())
    assert bundle.manifest.net == "ffm"
    assert 40 < bundle.manifest.metrics["valid"]["rows"] < 80  # a tenth of 600, by a hash
    assert not_none(bundle.manifest.held_out).share == 0.1
    assert bundle.manifest.training["seed"] == 1
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


def test_the_same_seed_gives_the_same_files_bit_for_bit_and_another_seed_does_not(
    home: Path,
) -> None:
    for out, seed in (("one", 7), ("two", 7), ("three", 8)):
        assert fit(home, "--seed", seed, out=out) == 0
    digests = [
        {name: record.sha256 for name, record in Bundle.open(home / out).manifest.files.items()}
        for out in ("one", "two", "three")
    ]
    for digest in digests:
        digest.pop("report.html")  # it has the seconds that the fit took
    assert digests[0] == digests[1]
    assert digests[0]["weights.bin"] != digests[2]["weights.bin"]


def test_the_vocabulary_comes_from_the_training_part_alone(home: Path) -> None:
    rows = tiny_rows()
    held_out = [row | {"device": "only in valid"} for row in rows[:50]]
    write_csv(home / "valid.csv", held_out)
    assert fit(home, "--valid", home / "valid.csv", "--test", home / "valid.csv") == 0
    bundle = Bundle.open(home / "bundle")
    assert set(values_of(bundle, "device")) == {
        "ios",
        "android",
        "web",
    }
    assert bundle.manifest.metrics["test"] == bundle.manifest.metrics["valid"]


@pytest.mark.parametrize("net", NETS)
def test_evaluate_predict_and_torch_free_scoring_agree(
    home: Path, capsys: pytest.CaptureFixture[str], net: Any
) -> None:
    assert fit(home, "--net", net) == 0
    capsys.readouterr()
    assert main(["evaluate", str(home / "bundle"), str(home / "log.csv")]) == 0
    printed = capsys.readouterr()
    measured = json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert {"rows", "auc", "logloss", "rmse", "calibration_ratio", "ece"} <= measured.keys()
    for name in ("out.csv", "out.parquet"):
        arguments = [str(home / "bundle"), str(home / "log.csv"), "--out", str(home / name)]
        assert main(["predict", *arguments]) == 0
    bundle = Bundle.open(home / "bundle")
    by_rows = probabilities_of(bundle, tiny_rows())
    written = pl.read_parquet(home / "out.parquet")["probability"].to_numpy()
    assert np.array_equal(written, by_rows)
    text = pl.read_csv(home / "out.csv")["probability"].to_numpy()
    assert text.tolist() == pytest.approx(by_rows.tolist(), abs=1e-7)
    clicks = np.array([row["click"] for row in tiny_rows()])
    assert measured["calibration_ratio"] == pytest.approx(by_rows.mean() / clicks.mean(), rel=1e-6)


def test_predict_needs_no_label(home: Path) -> None:
    assert fit(home) == 0
    unlabelled = [{k: v for k, v in row.items() if k != "click"} for row in tiny_rows()]
    write_csv(home / "new.csv", unlabelled)
    assert (
        main(["predict", str(home / "bundle"), str(home / "new.csv"), "--out", str(home / "p.csv")])
        == 0
    )
    assert len(pl.read_csv(home / "p.csv")) == 600


def test_attention_learns_the_planted_pair(home: Path) -> None:
    (home / "fast.toml").write_text(FAST.replace("epochs = 2", "epochs = 30\nlearning_rate = 0.02"))
    # of 600 rows about 60 are held out, and whether these few show the pair is luck
    write_csv(home / "many.csv", tiny_rows(3000))
    assert fit(home, "--net", "fm", data="many.csv", out="fm") == 0
    assert fit(home, "--net", "lr", data="many.csv", out="lr") == 0
    auc = {net: Bundle.open(home / net).manifest.metrics["valid"]["auc"] for net in ("fm", "lr")}
    assert auc["fm"] > auc["lr"] + 0.05


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        ("device,ad\nios,a1\n", "no column 'click'"),
        ("", "empty file"),
        ("click,device,hour,interests,ad,price\n", "no rows"),
        ("click,device,hour,interests,ad,price\n2,ios,1,,a1,3\n", "label must be 0 or 1"),
        ("click,device,hour,interests,ad,price\n1,ios,1,,a1,x\n", "'price', row 1"),
        ("click,device,interests,ad,price\n1,ios,,a1,3\n", "no column 'hour'"),
        ("click,device,hour,interests,ad,price\n" + "1,ios,1,,a1,3\n" * 50, "both classes"),
    ],
)
def test_a_log_that_cannot_be_used_costs_one_line_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], csv: Any, says: str
) -> None:
    (home / "bad.csv").write_text(csv)
    before = sorted(path.name for path in home.iterdir())
    refused(capsys, fit(home, data="bad.csv"), "bad.csv", says)
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_log_that_is_not_there_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, fit(home, data="none.csv"), "none.csv", "no such file")


def test_an_out_directory_that_exists_is_refused_before_the_training(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bundle").mkdir()
    (home / "bundle" / "mine").write_text("kept")
    refused(capsys, fit(home), "bundle", "exists already")
    assert (home / "bundle" / "mine").read_text() == "kept"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("colour = 1", "colour: unknown key"),
        ("[fit]\nepochs = -1", "fit.epochs"),
        ("[fit]\ndropout = 1.0", "fit.dropout"),
        ('net = "deepfm"', "net: "),
        ("hidden = [8, 0]", "hidden.1"),
        ("[afm_plus]\ntemperature = 2", "afm_plus.temperature: unknown key"),
        ("[fit", "not TOML"),
    ],
)
def test_a_bad_configuration_is_named_by_file_and_key(
    home: Path, capsys: pytest.CaptureFixture[str], config: str, says: str
) -> None:
    (home / "fast.toml").write_text(config)
    refused(capsys, fit(home), "fast.toml", says)


def test_the_command_the_configuration_and_the_nets_know_the_same_names() -> None:
    named = Config.model_json_schema()["properties"]["net"]["enum"]
    assert list(NETS) == list(nets.NETS) == named


CLICKS = np.array([row["click"] for row in tiny_rows()], np.float32)


def fitted(net: Any, attention: Any, start: Any = "fm", seed: Any = 1) -> Any:
    """A net after both of its steps, and its epochs."""
    schema, rows = Schema.parse(TINY_SCHEMA), tiny_rows()
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    encoder = Encoder(
        schema,
        {name: fit_vocabulary(field, columns[name]) for name, field in schema.fields.items()},
    )
    train = Examples.of(encoder.encode(rows), CLICKS, None)
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


def test_ctrl_c_keeps_the_best_epoch_and_still_writes_the_bundle(home: Path) -> None:
    ended = interrupted(home, "fit", "bundle")
    assert ended.status == 0, ended.err
    assert "interrupted: keeping the best epoch of ffm so far" in ended.err
    assert "version" in ended.out
    Bundle.open(home / "bundle")


def test_a_killed_fit_leaves_no_bundle(home: Path) -> None:
    command = long_command(home, "fit", "bundle")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
    time.sleep(0.1)
    assert not (home / "bundle").exists()
