"""How good a fit by the defaults is: the nets beside each other, each with its default settings.

    python benchmarks/defaults.py nets   --results FILE [--data DIR] [--logs ...] [--nets ...]
    python benchmarks/defaults.py peer   --results FILE [--data DIR]
    python benchmarks/defaults.py census
    python benchmarks/defaults.py rare   [--first SEED]
    python benchmarks/defaults.py table  --results FILE

`nets` fits every net on five splits of each log, drafted schemas, and adds a line a fit to FILE; a
line that FILE has is not measured again. `peer` adds LightGBM on the same splits. `table` writes
benchmarks/README.md. DIR holds kdd/kdd.csv.gz and so on; Frappe is judged on its valid part, by
five seeds. One thread.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import polars as pl
import torch
from logs.splits import LOGS, splits
from logs.worlds import PLAIN, counters, many_ids, rare_clicks, simulate_world
from results import circumstances, keep, say, table

from model.encoding import Encoder
from model.metrics.metrics import auc, logloss
from model.schema import Schema
from training.compare.peer import fit_peer
from training.config import Config
from training.data.examples import examples
from training.data.folds import hold_out_test
from training.data.log import Log, encode
from training.data.parts import split
from training.data.read_log import read_log
from training.draft.draft_schema import write_draft
from training.fit.calibration import apply, calibrate
from training.fit.malloc import keep_freed_memory
from training.fit.prepare import encode_rows, prepare, vocabularies_of
from training.fit.step.logits import logits
from training.fit.step.watcher import Watcher
from training.fit.steps import FittedStep, Steps, fit_net
from training.fit.untrained_rows import fill_untrained_rows

NETS = ("lr", "fm", "fwfm", "ffm", "afm", "afm+")
RANKED = NETS[1:]
SEEDS = (1, 2, 3, 4, 5)
PEER = "lightgbm"
SMALL, PLAIN_ROWS = 3000, 40_000
RARE_ROWS, RARE_JUDGED = 48_000, 600_000  # fitted as of 60,000 with a fifth to test on
Part = tuple[int, Log, Log, Schema]


class Figures(dict[str, float]):
    """`auc`, `logloss` and `seconds` of one fit."""


class _Remembering(Steps):
    # the nets of the step `fit`, which afm and afm+ continue from, are fitted once a split

    known: dict[str, FittedStep]

    def first(self, name: str) -> FittedStep:
        if name not in self.known:
            self.known[name] = super().first(name)
        return self.known[name]


def measure(
    train: Log, test: Log, schema: Schema, seed: int, nets: Sequence[str]
) -> Iterator[tuple[str, Figures]]:
    """Each net as `fit` fits and calibrates it, on the test part; seconds of one thread."""
    parts = prepare(train, None, None, schema, Config())
    encoder = Encoder(schema, vocabularies_of(schema, parts.train))
    rows = encode_rows(encoder, parts.train, parts.valid, None, schema.task)
    judged = examples(encode(encoder, test), test)
    valid, labels = rows.held_out, judged.labels.double().numpy()
    ones = np.ones(len(labels))
    known: dict[str, FittedStep] = {}
    spent: dict[str, float] = {}
    for net in nets:
        config = Config.model_validate({"net": net})
        steps = _Remembering(config, encoder, rows.seen, valid, Watcher())
        object.__setattr__(steps, "known", known)
        torch.manual_seed(seed)
        began = time.process_time()
        trained = fit_net(steps).net
        spent[net] = time.process_time() - began
        fill_untrained_rows(trained, encoder, rows.seen, unknown_fed=True)
        of_valid, of_test = (logits(trained, part).astype(np.float64) for part in (valid, judged))
        clicks, weights = valid.labels.double().numpy(), valid.weights.double().numpy()
        found = calibrate(of_valid, clicks, weights, seed=seed).calibration
        chance = 1 / (1 + np.exp(-apply(found, of_test)))
        seconds = spent[net] + sum(spent.get(name, 0.0) for name in config.warmup_nets)
        yield (
            net,
            Figures(
                auc=auc(labels, chance, ones) or 0.5,
                logloss=logloss(labels, chance, ones),
                seconds=seconds,
            ),
        )


def peer(train: Log, test: Log, schema: Schema, seed: int) -> Figures:
    """LightGBM on the same rows, its trees chosen on the same rows held out."""
    seen, valid = split(train, schema, share=Config().valid_share)
    found = fit_peer(PEER, seen, valid, test, schema, 1.0, seed)
    whole = found.resampled.whole
    return Figures(auc=whole["auc"], logloss=whole["logloss"], seconds=found.seconds)


def drawn(frame: pl.DataFrame, seed: int) -> Part:
    """A table as a log with a drafted schema, a fifth of it to test on."""
    log, schema = drafted(frame)
    return seed, *hold_out_test(log, schema, 0.2, seed), schema


def drafted(frame: pl.DataFrame) -> tuple[Log, Schema]:
    """A table as a log, with a drafted schema."""
    with tempfile.TemporaryDirectory() as scratch:
        path, schema_path = Path(scratch) / "log.parquet", Path(scratch) / "schema.toml"
        frame.write_parquet(path)
        write_draft(path, "click", schema_path)
        schema = Schema.load(schema_path)
        return read_log(path, schema), schema


def simulated(rows: int, seed: int) -> Part:
    """The log of `afm-train simulate`."""
    made = simulate_world(rows, seed, 0.05, PLAIN)
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / f"{part}.parquet" for part in ("train", "test")]
        for path, part in zip(paths, (made.train, made.test), strict=True):
            part.write_parquet(path)
        train, test = (read_log(path, made.schema) for path in paths)
    return seed, train, test, made.schema


def frappe(data: Path) -> Iterator[Part]:
    """Its valid part to test on, whole; the seeds differ."""
    folder = data / "frappe"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "schema.toml"
        write_draft(folder / "train.csv.gz", "label", path)
        schema = Schema.load(path)
    train, valid = (read_log(folder / f"{part}.csv.gz", schema) for part in ("train", "valid"))
    yield from ((seed, train, valid, schema) for seed in SEEDS)


WORLDS: dict[str, Callable[[int], Part]] = {
    "rare clicks": lambda seed: drawn(rare_clicks(seed), seed),
    "numbers": lambda seed: drawn(counters(seed), seed),
    "ids": lambda seed: drawn(many_ids(seed), seed),
    "small": partial(simulated, SMALL),
    "simulated": partial(simulated, PLAIN_ROWS),
}


def logs(data: Path | None) -> dict[str, Iterator[Part]]:
    """The splits of each log, by its name."""
    found: dict[str, Iterator[Part]] = {name: map(made, SEEDS) for name, made in WORLDS.items()}
    if data is not None:
        found |= {name: splits(data, name, SEEDS) for name in LOGS}
        found["frappe"] = frappe(data)
    return found


def run(path: Path, data: Path | None, chosen: Sequence[str], nets: Sequence[str]) -> None:
    """Add what `path` lacks."""
    done = {(one["log"], one["split"], one["net"]) for one in read(path)}
    for name, of_log in logs(data).items():
        if chosen and name not in chosen:
            continue
        for seed, train, test, schema in of_log:
            lacking = [net for net in nets if (name, seed, net) not in done]
            found: Iterator[tuple[str, Figures]] = iter(())
            if lacking == [PEER]:
                found = iter([(PEER, peer(train, test, schema, seed))])
            elif lacking:
                found = measure(train, test, schema, seed, lacking)
            for net, figures in found:
                line = {"log": name, "split": seed, "net": net, **figures}
                say(json.dumps(line))
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, object]]:
    """The lines measured so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_table(path: Path) -> None:
    """Means over the splits of each log; ranks by logloss, a split at a time."""
    by_log: dict[str, dict[int, dict[str, Figures]]] = defaultdict(lambda: defaultdict(dict))
    for one in read(path):
        figures = Figures({key: float(str(one[key])) for key in ("auc", "logloss", "seconds")})
        by_log[str(one["log"])][int(str(one["split"]))][str(one["net"])] = figures
    lines: list[list[object]] = []
    ranks: dict[str, list[float]] = defaultdict(list)
    for name, of_log in by_log.items():
        for net in (*NETS, PEER):
            of_net = [of_split[net] for of_split in of_log.values() if net in of_split]
            if not of_net:
                continue
            figures = Figures({key: mean(one[key] for one in of_net) for key in of_net[0]})
            own = "–"
            if net in RANKED:
                places = [_rank(of_split, net) for of_split in of_log.values() if net in of_split]
                ranks[net].append(mean(places))
                own = f"{mean(places):.1f}"
            shown = f"{figures['auc']:.4f}", f"{figures['logloss']:.5f}", own
            lines.append([name, net, len(of_net), *shown, f"{figures['seconds']:.0f}"])
    means = [[f"`{net}`", f"{mean(ranks[net]):.2f}", len(ranks[net])] for net in RANKED]
    keep(
        "defaults",
        "\n\n".join(
            (
                table(["net", "mean rank of logloss", "logs"], means),
                table(["log", "net", "splits", "AUC", "logloss", "rank", "seconds"], lines),
                circumstances("torch"),
            )
        ),
    )


def _rank(of_split: dict[str, Figures], net: str) -> float:
    own = of_split[net]["logloss"]
    others = [of_split[name]["logloss"] for name in RANKED if name in of_split and name != net]
    return 1 + sum(other < own for other in others) + sum(other == own for other in others) / 2


def census(net: str) -> None:
    """AUC on counters that are mostly 0: as they are, cut by hand, and by LightGBM."""
    say(f"split, {net}, cut by hand, {PEER}")
    for seed in SEEDS:
        _, train, test, schema = drawn(counters(seed), seed)
        _, by_hand, by_hand_test, hand = drawn(counters(seed, by_hand=True), seed)
        figures = [dict(measure(train, test, schema, seed, [net]))[net]]
        figures += [dict(measure(by_hand, by_hand_test, hand, seed, [net]))[net]]
        figures += [peer(train, test, schema, seed)]
        print(seed, *(f"{one['auc']:.4f}" for one in figures), flush=True)


def rare(net: str, first: int) -> None:
    """AUC where clicks are rare, of ten seeds from `first` on with rates from .0005 to .005; of a
    log drawn anew, with a thousand clicks, since what a fit holds out has three or ten.
    """
    nets = ("lr", "fm", net)
    say("seed, rate, " + ", ".join(nets))
    found: list[list[float]] = []
    for seed, rate in enumerate(np.geomspace(0.0005, 0.005, 10), first):
        train, schema = drafted(rare_clicks(seed, RARE_ROWS, rate))
        test, _ = drafted(rare_clicks(seed + 100, RARE_JUDGED, rate))
        figures = dict(measure(train, test, schema, seed, nets))
        found.append([figures[name]["auc"] for name in nets])
        print(seed, f"{rate:.5f}", *(f"{auc:.4f}" for auc in found[-1]), flush=True)
    print("mean", *(f"{mean(of_net):.4f}" for of_net in zip(*found, strict=True)), flush=True)


def main() -> None:
    """One section."""
    parser = argparse.ArgumentParser(description="Fits by the defaults.")
    parser.add_argument("section", choices=["nets", "peer", "census", "rare", "table"])
    parser.add_argument("--data", type=Path, help="the directory of the logs")
    parser.add_argument("--results", type=Path, help="a file of JSON lines")
    parser.add_argument("--logs", default="", help="some of them; default: all")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--first", type=int, default=1, help="of the seeds of `rare`")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    chosen = [name for name in options.logs.split(",") if name]
    if options.section == "census":
        census(Config().net)
    elif options.section == "rare":
        rare(Config().net, options.first)
    elif options.results is None:
        parser.error("--results FILE is needed")
    elif options.section == "table":
        write_table(options.results)
    else:
        nets = [PEER] if options.section == "peer" else options.nets.split(",")
        run(options.results, options.data, chosen, nets)


if __name__ == "__main__":
    main()
