"""Tables of quality.md on logs whose truth is known, and on values that training never saw."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from fits.fitted_net import fitted
from fits.rows import line, shown
from logs.splits import LOGS, simulated_logs, splits

from model.metrics.bootstrap import differences, resample
from model.schema import Schema
from model.values.ids import UNKNOWN
from training.config import Config, NetName
from training.data.examples import examples
from training.data.log import encode
from training.data.read_log import read_log
from training.evaluation.faithfulness import faithfulness
from training.evaluation.pair_effects import by_fields, pair_terms, sample
from training.fit.fit import fit
from training.fit.step.logits import logits
from training.fit.step.watcher import Watcher
from training.fit.steps import new_net
from training.simulate.simulation import write_simulation
from training.state.warm_start import WarmStart


def simulated(seeds: Sequence[int], rows: int, name: NetName) -> None:
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
        nets: tuple[NetName, ...] = ("lr", "fm", name)
        runs = {net: fitted(train, None, test, schema, Config(net=net), seed) for net in nets}
        ours = runs[name]
        best, low = truth["best"]["auc"], runs["lr"]["auc"]
        found = differences([runs["fm"].resampled], [ours.resampled])
        tested, slots = examples(ours.encoded, test), len(schema.slots)
        terms = pair_terms(ours.scorer, sample(tested, slots, seed))
        tried = pair_terms(ours.scorer, sample(tested, slots, seed, 1000))
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
                table = net.get_parameter("embedding")
                drawn = torch.randn(len(unknown), table.shape[1])
                table[unknown] = drawn * start.config().init_std
            scored = [logits(net, rows_of)[hit], trained]
            weights = None if test.weights is None else test.weights[hit]
            found = [resample(test.labels[hit], 1 / (1 + np.exp(-one)), weights) for one in scored]
            line(
                *(name, seed, f"{hit.mean():.3f}"),
                *(f"{one.whole['auc']:.4f}" for one in found),
                shown(differences([found[0]], [found[1]])["auc"]),
            )
