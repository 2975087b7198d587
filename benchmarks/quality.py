"""How good the nets are: the tables of quality.md, one section a call.

    python benchmarks/quality.py frappe    --data DIR [--seeds 1,2,3] [--configs fm,afm]
    python benchmarks/quality.py logs      --data DIR [--seeds 1,2,3,4,5] [--logs kdd,coupon]
    python benchmarks/quality.py simulated [--rows 1000000] [--seeds 1,2,3,4,5]
    python benchmarks/quality.py unseen    [--rows 200000] [--seeds 1,2,3]

DIR holds kdd/kdd.csv.gz and so on. One thread; every row is printed as soon as it is known.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from model.bootstrap import Difference, Resampled, differences, intervals, resample
from model.bundle import Bundle
from model.schema import Schema
from training.config import Config
from training.data import Log, read_log
from training.draft import write_draft
from training.faithfulness import faithfulness
from training.fit import encode, fit
from training.loop import Watcher
from training.memory import keep_freed_memory
from training.pair_effects import by_fields, pair_terms, sample
from training.simulate import write_simulation

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
FRAPPE = ("fm", "fwfm", "ffm", "nfm", "afm", "afm-plus")
LOGS = {  # label, columns known only afterwards
    "kdd": ("click", ["impression"]),
    "coupon": ("Y", []),
    "bank": ("y", ["duration"]),
    "obd": ("click", []),
}
RATE = 0.1  # of the negatives


class Fitted:
    """A bundle with what it gives the rows that judge it."""

    def __init__(
        self,
        home: Path,
        log: Log,
        valid: Log | None,
        test: Log,
        schema: Schema,
        config: Config,
        seed: int,
    ) -> None:
        began = time.perf_counter()
        fit(log, valid, None, schema, config, home / "bundle", seed, Watcher())
        self.seconds = time.perf_counter() - began
        self.bundle = Bundle.open(home / "bundle")
        self.scorer = self.bundle.scorer()
        self.encoder = self.bundle.encoder()
        self.encoded = encode(self.encoder, test)
        predictions = self.scorer.predict(self.encoded).predictions
        self.resampled: Resampled = resample(
            test.labels, predictions, test.weights, test.group, task=schema.task
        )
        shutil.rmtree(home / "bundle")

    def __getitem__(self, name: str) -> float:
        return self.resampled.whole[name]

    @property
    def calibration(self) -> str:
        """The calibration ratio with its interval."""
        interval = intervals(self.resampled)["calibration_ratio"]
        shown = "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        return f"{self['calibration_ratio']:.3f} ({shown})"


def fitted(*arguments: Any) -> Fitted:
    """In a scratch directory."""
    with tempfile.TemporaryDirectory() as home:
        return Fitted(Path(home), *arguments)


def line(*cells: object) -> None:
    """One row of a table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def shown(found: Difference | None) -> str:
    """A difference with its interval."""
    if found is None:
        return "–"
    low, high = found.interval
    return f"{found.value:+.4f} ({low:+.4f} to {high:+.4f})"


def frappe(data: Path, seeds: Sequence[int], configs: Sequence[str]) -> None:
    """The shipped configurations on Frappe's valid part."""
    schema = Schema.load(CONFIGS / "frappe-schema.toml")
    train, valid = (
        read_log(data / "frappe" / f"{part}.csv.gz", schema) for part in ("train", "valid")
    )
    line("configuration", "seed", "AUC", "logloss", "calibration ratio", "seconds")
    for name in configs:
        config = Config.load(CONFIGS / f"frappe-{name}.toml")
        runs = []
        for seed in seeds:
            run = fitted(train, valid, valid, schema, config, seed)
            line(
                name,
                seed,
                f"{run['auc']:.4f}",
                f"{run['logloss']:.4f}",
                run.calibration,
                f"{run.seconds:.0f}",
            )
            runs.append(run)
        mean = {figure: np.mean([run[figure] for run in runs]) for figure in ("auc", "logloss")}
        line(name, "mean", f"{mean['auc']:.4f}", f"{mean['logloss']:.4f}", "", "")


def splits(data: Path, name: str, seeds: Sequence[int]) -> Iterator[tuple[int, Log, Log, Schema]]:
    """Random 80/20 splits of a log, each with the schema that is drafted of its larger part."""
    label, drop = LOGS[name]
    frame = pl.read_csv(data / name / f"{name}.csv.gz", infer_schema=False)
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(frame))
        cut = len(frame) // 5
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            for part, rows in (("test", order[:cut]), ("train", order[cut:])):
                frame[rows].write_csv(home / f"{part}.csv")
            write_draft(home / "train.csv", label, home / "schema.toml", drop=drop)
            schema = Schema.load(home / "schema.toml")
            train, test = (read_log(home / f"{part}.csv", schema) for part in ("train", "test"))
        yield seed, train, test, schema


def logs(data: Path, seeds: Sequence[int], names: Sequence[str]) -> None:
    """afm+ beside FM and LR, default settings, drafted schemas; calibration, also of a tenth of the
    negatives.
    """
    line(
        *("log", "seed", "lr AUC", "fm AUC", "afm+ AUC", "afm+ minus fm, AUC"),
        *("afm+ minus fm, logloss", "calibration", f"with {RATE:g} of the negatives"),
    )
    for name in names:
        for seed, train, test, schema in splits(data, name, seeds):
            runs = {
                net: fitted(train, None, test, schema, Config(net=net), seed)
                for net in ("lr", "fm", "afm+")
            }
            few = Config(net="afm+", negatives_rate=RATE)
            sampled = fitted(train, None, test, schema, few, seed)
            found = differences([runs["fm"].resampled], [runs["afm+"].resampled])
            line(
                name,
                seed,
                *(f"{run['auc']:.4f}" for run in runs.values()),
                shown(found["auc"]),
                shown(found["logloss"]),
                runs["afm+"].calibration,
                sampled.calibration,
            )


def simulated(seeds: Sequence[int], rows: int) -> None:
    """How far afm+ comes from LR to the truth, the planted pairs, and what attention means."""
    line(
        *("seed", "lr", "fm", "afm+", "true", "share", "planted found", "afm+ minus fm, AUC"),
        *("calibration", "top 5", "random 5", "attended 5", "seconds"),
    )
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch) / "log"
            write_simulation(home, rows, seed)
            schema = Schema.load(home / "schema.toml")
            truth = json.loads((home / "truth.json").read_text())
            train, test = (read_log(home / f"{part}.parquet", schema) for part in ("train", "test"))
        runs = {
            net: fitted(train, None, test, schema, Config(net=net), seed)
            for net in ("lr", "fm", "afm+")
        }
        ours = runs["afm+"]
        best, low = truth["best"]["auc"], runs["lr"]["auc"]
        found = differences([runs["fm"].resampled], [ours.resampled])
        terms = pair_terms(ours.scorer, sample(ours.encoded, seed))
        tried = pair_terms(ours.scorer, sample(ours.encoded, seed, 1000))
        if terms is None or tried is None or (removed := faithfulness(tried, seed)) is None:
            raise SystemExit("afm+ has no pair terms here")
        fields = list(schema.fields)
        strength = by_fields(terms, ours.encoder).contribution
        pairs = [(i, j) for i in range(len(fields)) for j in range(i + 1)]
        pairs.sort(key=lambda pair: -np.nan_to_num(strength[pair]))
        planted = {frozenset(pair["fields"]) for pair in truth["pairs"]}
        strongest = {frozenset((fields[i], fields[j])) for i, j in pairs[: len(planted)]}
        removals = (removed.contributing, removed.random, removed.attended)
        line(
            seed,
            *(f"{run['auc']:.4f}" for run in runs.values()),
            f"{best:.4f}",
            f"{(ours['auc'] - low) / (best - low):.3f}",
            f"{len(planted & strongest)} of {len(planted)}",
            shown(found["auc"]),
            ours.calibration,
            *("–" if one is None else f"{one.mean[4]:.3f}" for one in removals),
            f"{ours.seconds:.0f}",
        )


def unseen(seeds: Sequence[int], rows: int) -> None:
    """A test part of which 30 % of the values were never seen: the unknown row trained or not."""
    line("seed", "untrained AUC", "trained AUC", "trained minus untrained", "logloss of each")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch) / "log"
            write_simulation(home, rows, seed, unseen=0.3)
            schema = Schema.load(home / "schema.toml")
            # without rare values to fold into it, an unknown row is trained by `unknown_rate` alone
            train, test = (read_log(home / f"{part}.parquet", schema) for part in ("train", "test"))
        runs = []
        for rate in (0.0, Config().fit.unknown_rate):
            config = Config(net="afm+")
            steps = {
                step: getattr(config, step).model_copy(update={"unknown_rate": rate})
                for step in ("fit", "attention")
            }
            runs.append(fitted(train, None, test, schema, config.model_copy(update=steps), seed))
        found = differences([runs[0].resampled], [runs[1].resampled])
        line(
            seed,
            *(f"{run['auc']:.4f}" for run in runs),
            shown(found["auc"]),
            " / ".join(f"{run['logloss']:.4f}" for run in runs),
        )


def main() -> None:
    """One section."""
    parser = argparse.ArgumentParser(description="The tables of quality.md.")
    parser.add_argument("section", choices=["frappe", "logs", "simulated", "unseen"])
    parser.add_argument("--data", type=Path, help="the directory of the logs")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--configs", default=",".join(FRAPPE))
    parser.add_argument("--logs", default=",".join(LOGS))
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if options.section == "frappe":
        frappe(options.data, seeds, options.configs.split(","))
    elif options.section == "logs":
        logs(options.data, seeds, options.logs.split(","))
    elif options.section == "simulated":
        simulated(seeds, options.rows)
    else:
        unseen(seeds, options.rows)


if __name__ == "__main__":
    main()
