"""How good the nets are: the tables of quality.md, one section a call.

    python benchmarks/quality.py frappe    --data DIR [--seeds 1,2,3] [--configs fm,afm]
    python benchmarks/quality.py logs      --data DIR [--seeds 1,2,3,4,5] [--logs kdd,coupon]
    python benchmarks/quality.py simulated [--rows 1000000] [--seeds 1,2,3,4,5] [--net afm+]
    python benchmarks/quality.py unseen    [--data DIR] [--rows 200000] [--seeds 1,2,3]
    python benchmarks/quality.py parts     --data DIR [--rows 40000] [--seeds 1,2]
    python benchmarks/quality.py nfm       --data DIR [--rows 100000] [--seeds 1,2]

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
from worlds import PLAIN, World, simulate_world

from model.bundle.bundle import Bundle
from model.encoding import Encoded, Slate
from model.metrics.bootstrap import Difference, Resampled, differences, intervals, resample
from model.schema import Schema
from model.scorer import Scorer
from model.values.ids import UNKNOWN
from training.config import AFMPlusParts, Config
from training.data.examples import examples
from training.data.log import Log, encode
from training.data.read_log import read_log
from training.draft.draft_schema import write_draft
from training.evaluation.faithfulness import faithfulness
from training.evaluation.pair_effects import by_fields, pair_terms, sample
from training.fit.fit import fit
from training.fit.malloc import keep_freed_memory
from training.fit.step.logits import logits
from training.fit.step.watcher import Watcher
from training.fit.steps import new_net
from training.simulate.simulation import write_simulation
from training.state.warm_start import WarmStart

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
FRAPPE = ("fm", "fwfm", "ffm", "nfm", "afm", "afm-plus")
LOGS = {  # label, columns known only afterwards
    "kdd": ("click", ["impression"]),
    "coupon": ("Y", []),
    "bank": ("y", ["duration"]),
    "obd": ("click", []),
}
RATE = 0.1  # of the negatives
ADS = 50


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
        began = time.process_time()  # of one thread, so that other work on the machine counts not
        fit(log, valid, None, schema, config, home / "bundle", seed, Watcher())
        self.seconds = time.process_time() - began
        self.bundle = Bundle.open(home / "bundle")
        self.scorer = self.bundle.read_scorer()
        self.encoder = self.bundle.read_encoder()
        self.encoded = encode(self.encoder, test)
        predictions = self.scorer.predict(self.encoded).predictions
        self.resampled: Resampled = resample(
            test.labels, predictions, test.weights, test.group, task=schema.task
        )
        self.row_seconds = seconds_a_row(self.scorer, self.encoded, schema)
        shutil.rmtree(home / "bundle")

    def __getitem__(self, name: str) -> float:
        return self.resampled.whole[name]

    @property
    def calibration(self) -> str:
        """The calibration ratio with its interval."""
        interval = intervals(self.resampled)["calibration_ratio"]
        shown = "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        return f"{self['calibration_ratio']:.3f} ({shown})"


def seconds_a_row(scorer: Scorer, rows: Encoded, schema: Schema) -> float:
    """Of one context with ADS ads, their own parts known, or of as many whole rows where the schema
    names no ads; the fastest of many runs.
    """
    of_ads = np.array(schema.candidate_slots)
    score: Any = scorer.predict_plainly
    some: Any = rows.slice(0, ADS)
    if scorer.has_rank:
        context, ads = (
            Encoded(*(np.ascontiguousarray(part[:count, side]) for part in (rows.ids, rows.values)))
            for count, side in ((1, ~of_ads), (ADS, of_ads))
        )
        score, some = scorer.rank, Slate(context, ads, scorer.alone(ads))
    took = []
    for _ in range(200):
        began = time.perf_counter()
        score(some)
        took.append(time.perf_counter() - began)
    return min(took) / ADS


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
    first = configs[0]
    head = ["configuration", "seed", "AUC", "logloss", "calibration ratio", "seconds"]
    line(*head, f"minus {first}, AUC", f"minus {first}, logloss")
    firsts: dict[int, Resampled] = {}
    for name in configs:
        config = Config.load(CONFIGS / f"frappe-{name}.toml")
        runs = []
        for seed in seeds:
            run = fitted(train, valid, valid, schema, config, seed)
            base = firsts.setdefault(seed, run.resampled)
            found = {} if name == first else differences([base], [run.resampled])
            line(
                name,
                seed,
                f"{run['auc']:.4f}",
                f"{run['logloss']:.4f}",
                run.calibration,
                f"{run.seconds:.0f}",
                *map(shown, map(found.get, ("auc", "logloss"))),
            )
            runs.append(run)
        mean = {figure: np.mean([run[figure] for run in runs]) for figure in ("auc", "logloss")}
        line(name, "mean", f"{mean['auc']:.4f}", f"{mean['logloss']:.4f}", "", "", "", "")


def write_split(data: Path, name: str, seed: int, home: Path) -> tuple[Path, Path]:
    """A random 80/20 split of a log as two files, the larger one first."""
    frame = pl.read_csv(data / name / f"{name}.csv.gz", infer_schema=False)
    order = np.random.default_rng(seed).permutation(len(frame))
    cut = len(frame) // 5
    train, test = home / "train.csv", home / "test.csv"
    frame[order[cut:]].write_csv(train)
    frame[order[:cut]].write_csv(test)
    return train, test


def splits(data: Path, name: str, seeds: Sequence[int]) -> Iterator[tuple[int, Log, Log, Schema]]:
    """Random 80/20 splits of a log, each with the schema that is drafted of its larger part."""
    label, drop = LOGS[name]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            parts = write_split(data, name, seed, Path(scratch))
            write_draft(parts[0], label, Path(scratch) / "schema.toml", drop=drop)
            schema = Schema.load(Path(scratch) / "schema.toml")
            train, test = (read_log(part, schema) for part in parts)
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


def simulated(seeds: Sequence[int], rows: int, name: str) -> None:
    """How far a net comes from LR to the truth, the planted pairs, and what attention means."""
    line(
        *("seed", "lr", "fm", name, "true", "share", "planted found", f"{name} minus fm, AUC"),
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
            for net in ("lr", "fm", name)
        }
        ours = runs[name]
        best, low = truth["best"]["auc"], runs["lr"]["auc"]
        found = differences([runs["fm"].resampled], [ours.resampled])
        terms = pair_terms(ours.scorer, sample(ours.encoded, seed))
        tried = pair_terms(ours.scorer, sample(ours.encoded, seed, 1000))
        if terms is None or tried is None or (removed := faithfulness(tried, seed)) is None:
            raise SystemExit(f"{name} has no pair terms here")
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


def unseen(data: Path | None, seeds: Sequence[int], rows: int) -> None:
    """What training the unknown rows is worth on rows with values that training never saw: beside
    the same net with the rows that they had before the first step, as they stay where nothing feeds
    them.
    """
    line(
        "log",
        "seed",
        "rows with unseen values",
        "as drawn AUC",
        "trained AUC",
        "trained minus drawn",
    )
    for name in ("simulated", *(LOGS if data else ())):
        if data is None or name == "simulated":
            parts = simulated_logs(seeds, rows, unseen=0.3)
        else:
            parts = splits(data, name, seeds)
        for seed, train, test, schema in parts:
            with tempfile.TemporaryDirectory() as scratch:
                out = Path(scratch) / "bundle"
                fit(train, None, None, schema, Config(net="afm+"), out, seed, Watcher())
                start = WarmStart.open(out)
                encoder = start.bundle.read_encoder()
                net = new_net("afm+", encoder, start.config())
                start.load(net, start.bundle.read_vocabularies())
            rows_of = examples(encode(encoder, test), test)
            hit = encoder.unknown(rows_of.ids.numpy()).any(1)
            trained = logits(net, rows_of)[hit]
            unknown = torch.from_numpy(np.unique(encoder.offsets) + UNKNOWN)
            torch.manual_seed(seed)
            with torch.no_grad():
                net.linear[unknown] = 0
                drawn = torch.randn(len(unknown), net.embedding.shape[1])
                net.embedding[unknown] = drawn * start.config().init_std
            scored = [logits(net, rows_of)[hit], trained]
            weights = None if test.weights is None else test.weights[hit]
            found = [resample(test.labels[hit], 1 / (1 + np.exp(-one)), weights) for one in scored]
            line(
                *(name, seed, f"{hit.mean():.3f}"),
                *(f"{one.whole['auc']:.4f}" for one in found),
                shown(differences([found[0]], [found[1]])["auc"]),
            )


def simulated_logs(
    seeds: Sequence[int], rows: int, unseen: float = 0.05, world: World = PLAIN
) -> Iterator[tuple[int, Log, Log, Schema]]:
    """Simulated logs in their two parts."""
    for seed in seeds:
        drawn = simulate_world(rows, seed, unseen, world)
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            for part in ("train", "test"):
                getattr(drawn, part).write_parquet(home / f"{part}.parquet")
            train, test = (
                read_log(home / f"{part}.parquet", drawn.schema) for part in ("train", "test")
            )
        yield seed, train, test, drawn.schema


PARTS: dict[str, dict[str, Any]] = {
    "attention by the pair": {"pair_scores": False},
    "attention by its fields": {"field_scores": False},
    "weights of its fields": {"field_weights": False},
    "FwFM to start from": {"start": "fm"},
}
PARTS["any of the four"] = {part: less for one in PARTS.values() for part, less in one.items()}


def parts(data: Path, seeds: Sequence[int], rows: int) -> None:
    """What each part of afm+ buys: the whole, and less each part."""
    line("log", "seed", "afm+ AUC", *(f"without {part}" for part in PARTS))
    found = {"simulated": simulated_logs(seeds, rows)} | {n: splits(data, n, seeds) for n in LOGS}
    for name, drawn in found.items():
        for seed, train, test, schema in drawn:

            def fit_with(less: dict[str, Any]) -> Fitted:
                config = Config(net="afm+", afm_plus=AFMPlusParts(**less))
                return fitted(train, None, test, schema, config, seed)  # noqa: B023 - called here

            whole = fit_with({})
            lost = (
                differences([whole.resampled], [fit_with(less).resampled])["auc"]
                for less in PARTS.values()
            )
            line(name, seed, f"{whole['auc']:.4f}", *map(shown, lost))


WORLDS = {
    "pairs of rank 1": World(),
    "pairs of rank 4": World(rank=4),
    "third order": World(third_order=0.8),
    "20 noise fields": World(noise=20),
}
AGAINST = ("fm", "afm", "afm+", "nfm")


def against_nfm(data: Path, seeds: Sequence[int], rows: int) -> None:
    """AFM and NFM side by side, default settings: accuracy, calibration and what each costs."""
    line(
        *("log", "seed", *(f"{net} AUC" for net in AGAINST)),
        *("afm minus nfm, AUC", "afm+ minus nfm, AUC", "calibration afm, nfm"),
        *("seconds to fit afm, nfm", "us a row of 50 ads afm, nfm"),
    )
    worlds = {
        name: (lambda w=world: simulated_logs(seeds, rows, world=w))
        for name, world in WORLDS.items()
    }
    real = {name: (lambda n=name: splits(data, n, seeds)) for name in LOGS}
    for name, parts in (worlds | real).items():
        for seed, train, test, schema in parts():
            runs = {
                net: fitted(train, None, test, schema, Config(net=net), seed) for net in AGAINST
            }
            afm, plus, nfm = (runs[net] for net in ("afm", "afm+", "nfm"))
            line(
                *(name, seed, *(f"{run['auc']:.4f}" for run in runs.values())),
                *(
                    shown(differences([nfm.resampled], [run.resampled])["auc"])
                    for run in (afm, plus)
                ),
                f"{afm['calibration_ratio']:.3f}, {nfm['calibration_ratio']:.3f}",
                f"{afm.seconds:.0f}, {nfm.seconds:.0f}",
                f"{1e6 * afm.row_seconds:.1f}, {1e6 * nfm.row_seconds:.1f}",
            )


def main() -> None:
    """One section."""
    parser = argparse.ArgumentParser(description="The tables of quality.md.")
    parser.add_argument(
        "section", choices=["frappe", "logs", "simulated", "unseen", "parts", "nfm"]
    )
    parser.add_argument("--data", type=Path, help="the directory of the logs")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--configs", default=",".join(FRAPPE))
    parser.add_argument("--net", default="afm+", help="of section simulated")
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
        simulated(seeds, options.rows, options.net)
    elif options.section == "unseen":
        unseen(options.data, seeds, options.rows)
    elif options.section == "parts":
        parts(options.data, seeds, options.rows)
    else:
        against_nfm(options.data, seeds, options.rows)


if __name__ == "__main__":
    main()
