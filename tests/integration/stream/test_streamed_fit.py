"""`afm-train fit --stream`: the bundle of a log larger than memory, and how such a fit resumes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from fit_calls import write_csv
from model.bundle.bundle import Bundle
from model.bundle.files import GOLDEN, VALIDATION, WEIGHTS
from model.schema import Schema
from narrowing import not_none
from streamed_calls import (
    AT_ONCE,
    CONFIG,
    SMALL,
    arguments,
    equal_but_for_the_order,
    killed_in,
    streamed,
    weights,
)
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.data.files import Data
from training.state.checkpoint import checkpoint_path
from training.stream import blocks
from training.stream.asked import Asked
from training.stream.cache import pieces
from training.stream.cache.shards import Shards
from training.stream.encode_log import encoded_log


def test_the_bundle_is_that_of_the_log_in_memory_but_for_the_order_of_its_rows(
    home: Path,
) -> None:
    one, other = equal_but_for_the_order(home)
    auc = [manifest.metrics["valid"]["auc"] for manifest in (one, other)]
    assert auc[0] == pytest.approx(auc[1], abs=0.02)
    report = (home / "stream" / "report.html").read_text()
    counted = (home / "memory" / "report.html").read_text()
    lead = 'class="lead">'
    assert report.split(lead)[1].split("<")[0] == counted.split(lead)[1].split("<")[0]


@pytest.mark.parametrize(
    ("net", "more"),
    [
        ("afm", ("--negatives-kept", 0.5)),
        ("fm", ("--negatives-rate", 0.4)),
        ("fm", ("--from", "BUNDLE", "--negatives-rate", 0.7)),
    ],
)
def test_the_same_net_is_judged_the_same_on_rows_that_are_on_disk(
    home: Path, net: str, more: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in AT_ONCE:
        monkeypatch.setattr(f"training.{module}.AT_ONCE", 512)
    monkeypatch.setattr(pieces, "ROWS", 300)
    monkeypatch.setattr(blocks, "TEXT_BYTES", 5000)
    rows = [row | {"worth": at % 3} for at, row in enumerate(tiny_rows(6000))]
    (home / "schema.toml").write_text(f'weight = "worth"\n{TINY_SCHEMA}')
    if "--from" in more:
        write_csv(home / "log.csv", rows[:700])
        assert main(arguments(home, "before", net=net)) == 0
        more = tuple(home / "before" if word == "BUNDLE" else word for word in more)
    write_csv(home / "log.csv", rows)
    untrained = CONFIG.replace("epochs = 3", "epochs = 0").replace("epochs = 2", "epochs = 0")
    kept = 'calibration = "isotonic"\nvalidation_rows = 500\nvalid_share = 0.4\n'
    (home / "config.toml").write_text(kept + untrained.replace('calibration = "platt"', ""))
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)  # of which a report has several
    assert main(arguments(home, "memory", *more, net=net)) == 0
    assert main(streamed(home, "stream", *more, net=net)) == 0
    for name in (WEIGHTS, VALIDATION, GOLDEN, "report.html"):
        assert (home / "stream" / name).read_bytes() == (home / "memory" / name).read_bytes()
    memory, stream = (Bundle.open(home / name) for name in ("memory", "stream"))
    assert stream.read_vocabularies() == memory.read_vocabularies()
    for part in ("metrics", "calibration", "training", "warnings", "held_out"):
        assert getattr(stream.manifest, part) == getattr(memory.manifest, part)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("net", ["ffm", "afm"])
def test_the_number_of_readers_changes_no_weight(home: Path, net: str) -> None:
    assert main(streamed(home, "one", "--readers", 1, net=net)) == 0
    assert main(streamed(home, "three", "--readers", 3, net=net)) == 0
    assert weights(home, "one") == weights(home, "three")


def test_given_rows_are_judged_on_in_place_of_some_of_the_log(home: Path) -> None:
    log = pl.read_csv(home / "log.csv", infer_schema=False)
    log[:400].write_csv(home / "valid.csv")
    log[400:].write_csv(home / "log.csv")
    valid = "--valid", home / "valid.csv"
    assert main(arguments(home, "memory", *valid)) == 0
    assert main(streamed(home, "stream", *valid)) == 0
    for name in ("memory", "stream"):
        manifest = Bundle.open(home / name).manifest
        assert manifest.held_out is None
        assert manifest.metrics["valid"]["rows"] == 400
    memory, stream = (Bundle.open(home / name) for name in ("memory", "stream"))
    assert stream.read_vocabularies() == memory.read_vocabularies()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (
            ["--one-pass", "--from", "bundle", "--replay", "log.csv"],
            "--one-pass: not with --replay",
        ),
        (["--test-share", "0.1"], "--stream: not with --test-share"),
        (["--one-pass", "--ray", "local"], "--one-pass: not with --ray"),
    ],
)
def test_what_a_stream_cannot_do_is_refused_before_any_work(
    home: Path, more: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(streamed(home, "bundle", *more)) != 0
    assert wanted in capsys.readouterr().err
    assert not (home / "cache" / "ctr-afm" / "logs").exists()


def test_readers_alone_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(home, "bundle", "--readers", 2)) != 0
    assert "--readers: goes with --stream" in capsys.readouterr().err


def rows_of(home: Path, readers: int = 1) -> Shards:
    data, schema = Data((home / "log.csv",)), Schema.parse(TINY_SCHEMA)
    return Shards(encoded_log(data, schema, Asked(0.1), 1, lambda _: None), 7, readers)


@pytest.mark.usefixtures("small_shards")
def test_an_epoch_has_each_row_once_in_an_order_of_seed_and_epoch(home: Path) -> None:
    rows = rows_of(home)
    first, again, second = (
        torch.cat([fed.at for fed in source.batches(64, epoch)])
        for source, epoch in ((rows, 1), (rows_of(home, 3), 1), (rows, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, torch.arange(len(rows)))
    assert [len(fed.at) for fed in rows.batches(64)][:-1] == [64] * (len(rows) // 64)
    for fed in rows.batches(64, 2):
        for at, ids in zip(fed.at.tolist(), fed.ids, strict=True):
            assert torch.equal(rows.every(1).ids[at], ids)


@pytest.mark.usefixtures("small_shards")
def test_an_epoch_goes_on_behind_any_batch(home: Path) -> None:
    rows = rows_of(home)
    whole = list(rows.batches(64, 3))
    for behind in range(len(whole)):
        rest = list(rows.batches(64, 3, behind))
        assert len(rest) == len(whole) - behind
        for one, other in zip(whole[behind:], rest, strict=True):
            assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    ("net", "optimizer", "stream"),
    [("afm", "adam", True), ("fm", "lazy_adam", True), ("ffm", "adam", False)],
)
def test_a_fit_ended_within_any_epoch_goes_on_to_the_same_weights(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    net: str,
    optimizer: str,
    stream: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (home / "config.toml").write_text(f'optimizer = "{optimizer}"\n{CONFIG}')
    fit = streamed if stream else arguments
    assert main(fit(home, "whole", net=net)) == 0
    chance = random.Random(f"{net} {stream}")
    batches = 3 * 29
    for readers in (1, 2, 3):
        more: Any = ["--readers", readers] if stream else []
        often = [*more, "--checkpoint-seconds", 1e-9]
        killed_in(monkeypatch, fit(home, "bundle", *often, net=net), chance.randrange(1, batches))
        capsys.readouterr()
        assert main(fit(home, "bundle", "--resume", *more, net=net)) == 0
        assert "continues" in capsys.readouterr().err
        assert weights(home, "bundle") == weights(home, "whole")
        assert not checkpoint_path(home / "bundle").exists()
        (home / "bundle").rename(home / f"bundle-{readers}")


def test_a_fit_killed_again_and_again_ends_with_the_same_weights(home: Path) -> None:
    (home / "config.toml").write_text(CONFIG.replace("epochs = 3", "epochs = 12"))
    patched = (
        "import sys; from training.stream.cache import shards; "
        "from training.state import checkpoint; "
        f"shards.SHARD, shards.MIXED = {SMALL['SHARD']}, {SMALL['MIXED']}; "
        "checkpoint.MOST_TIME = 1e9; from training.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def command(out: str, *more: object) -> list[str]:
        return [sys.executable, "-c", patched, *streamed(home, out, *more)]

    subprocess.run(command("whole"), check=True, capture_output=True, timeout=120)
    chance = random.Random(3)
    kills = 0
    while not (home / "bundle").exists():
        more = "--resume", "--checkpoint-seconds", 0.001, "--readers", 1 + kills % 3
        process = subprocess.Popen(command("bundle", *more), stderr=subprocess.PIPE)
        if kills < 3:
            said = not_none(process.stderr)
            while b"epoch" not in said.readline() and process.poll() is None:
                pass
            time.sleep(chance.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        _, rest = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), rest
    assert weights(home, "bundle") == weights(home, "whole")
