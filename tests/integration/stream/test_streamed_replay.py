"""`fit --stream --from BUNDLE --replay OLD_LOG`: older rows in memory, behind those on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fit_calls import write_csv
from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from model.schema import Schema
from narrowing import not_none
from ranked_log import RANKING, ranked_rows
from streamed_calls import CONFIG, arguments, killed_in, streamed, weights
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import Config
from training.data.examples import Examples
from training.data.files import Data
from training.data.read_log import read_log
from training.fit.beginnings import FromBundle
from training.fit.material import Material, Streamed, material_of, streamed_material
from training.state.checkpoint import checkpoint_path
from training.state.warm_start import WarmStart


@pytest.fixture(params=["click", "ranking"])
def begun(home: Path, request: pytest.FixtureRequest) -> Path:
    """The folder with a bundle `before` of the rows in old.csv, whose groups stand in no order."""
    ranks = request.param == "ranking"
    drawn: Any = ranked_rows if ranks else tiny_rows
    text = RANKING if ranks else TINY_SCHEMA
    (home / "schema.toml").write_text(f'weight = "worth"\n{text}')
    for name, seed in (("log", 0), ("old", 1)):
        rows = [row | {"worth": 1 + at % 3} for at, row in enumerate(drawn(1500, seed))]
        if name == "old":
            rows = [rows[at] for at in np.random.default_rng(1).permutation(len(rows))]
        write_csv(home / f"{name}.csv", rows)
    config = CONFIG.replace("epochs = 3", "epochs = 2")
    (home / "config.toml").write_text(config)
    before = ["fit", home / "old.csv", "--schema", home / "schema.toml", "--net", "fm"]
    before += ["--config", home / "config.toml", "--out", home / "before"]
    assert main(list(map(str, before))) == 0
    return home


def replaying(home: Path) -> list[object]:
    return ["--from", home / "before", "--replay", home / "old.csv", "--replay-share", 0.3]


def materials(home: Path, rate: float) -> tuple[Material, Material]:
    """In memory, and on disk."""
    schema = Schema.load(home / "schema.toml")
    config = Config(net="fm", embedding=4, negatives_rate=rate)
    log, old = (read_log(home / f"{name}.csv", schema) for name in ("log", "old"))
    start = WarmStart.open(home / "before").with_replay(old, 0.3)
    memory = material_of(FromBundle(start), log, None, None, schema, config, 5)
    on_disk = Streamed(Data((home / "log.csv",)), 2, lambda _: None)
    encoded = on_disk.encoded(schema, config, 5, start, holds_out=True)
    return memory, streamed_material(encoded, None, None, config, 5, 2, start)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    ("begun", "rate"), [("click", 1.0), ("click", 0.5), ("ranking", 1.0)], indirect=["begun"]
)
def test_the_rows_trained_on_are_those_in_memory(begun: Path, rate: float) -> None:
    memory, stream = materials(begun, rate)
    assert stream.replayed == memory.replayed > 300
    assert dict(stream.vocabularies) == dict(memory.vocabularies)
    seen = memory.rows.seen
    assert isinstance(seen, Examples)
    on_disk = stream.rows.seen.every(1)
    order = torch.arange(len(seen))
    if seen.groups is not None:  # where the old rows of a group are put together
        new = len(seen) - memory.replayed
        old = torch.argsort(seen.groups[new:], stable=True)
        order = torch.cat([order[:new], new + old])
        found, wanted = (
            torch.unique_consecutive(each, return_counts=True)[1]
            for each in (not_none(on_disk.groups), seen.groups[order])
        )
        assert torch.equal(found, wanted)
    for part in ("ids", "values", "labels", "weights"):
        assert torch.equal(getattr(on_disk, part), getattr(seen, part)[order])
    fed = torch.cat([fed.at for fed in stream.rows.seen.batches(64, 2)])
    assert torch.equal(fed.sort().values, torch.arange(len(seen)))
    for first in range(0, len(seen), 100):
        ids, _ = stream.rows.seen.between(first, first + 100)
        assert torch.equal(ids, on_disk.ids[first : first + 100])


@pytest.mark.usefixtures("small_shards")
def test_a_fit_that_replays_goes_on_to_the_same_weights(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = replaying(begun)
    assert main(streamed(begun, "whole", *more)) == 0
    assert "replayed: " in capsys.readouterr().out
    for readers, batch in ((1, 3), (3, 29)):
        how = [*more, "--readers", readers]
        killed_in(monkeypatch, streamed(begun, "bundle", *how, "--checkpoint-seconds", 1e-9), batch)
        capsys.readouterr()
        assert main(streamed(begun, "bundle", "--resume", *how)) == 0
        assert "continues" in capsys.readouterr().err
        assert weights(begun, "bundle") == weights(begun, "whole")
        assert not checkpoint_path(begun / "bundle").exists()
        (begun / "bundle").rename(begun / f"bundle-{readers}")
    often = ["--checkpoint-seconds", 1e-9]
    killed_in(monkeypatch, streamed(begun, "bundle", *more, *often), 5)
    fewer = [*more[:-1], 0.2]
    assert main(streamed(begun, "bundle", "--resume", *fewer)) != 0
    assert "log" in capsys.readouterr().err


def test_the_bundle_is_that_of_a_fit_in_memory_where_no_epoch_is_run(begun: Path) -> None:
    (begun / "config.toml").write_text(CONFIG.replace("epochs = 3", "epochs = 0"))
    assert main(arguments(begun, "memory", *replaying(begun))) == 0
    assert main(streamed(begun, "stream", *replaying(begun))) == 0
    assert (begun / "stream" / WEIGHTS).read_bytes() == (begun / "memory" / WEIGHTS).read_bytes()
    one, other = (Bundle.open(begun / name).manifest for name in ("memory", "stream"))
    for part in ("metrics", "calibration", "training", "warnings", "held_out"):
        assert getattr(one, part) == getattr(other, part)
    assert one.training["replayed"] > 300


@pytest.mark.parametrize("begun", ["click"], indirect=True)
def test_a_share_below_one_row_replays_nothing(begun: Path) -> None:
    more = ["--from", begun / "before", "--replay", begun / "old.csv", "--replay-share", 1e-6]
    assert main(streamed(begun, "bundle", *more)) == 0
    assert Bundle.open(begun / "bundle").manifest.training["replayed"] == 0
