"""Tables of quality.md that lay nets side by side on the same splits."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fits.fitted_net import Fitted, fitted
from fits.rows import line, shown
from logs.splits import CONFIGS, LOGS, simulated_logs, splits
from logs.worlds import World

from model.metrics.bootstrap import Resampled, differences
from model.schema import Schema
from training.config import AFMPlusParts, Config, NetName
from training.data.read_log import read_log

RATE = 0.1  # of the negatives


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
AGAINST: tuple[NetName, ...] = ("fm", "afm", "afm+", "nfm")


def against_nfm(data: Path, seeds: Sequence[int], rows: int) -> None:
    """AFM and NFM side by side, default settings: accuracy, calibration and what each costs."""
    line(
        *("log", "seed", *(f"{net} AUC" for net in AGAINST)),
        *("afm minus nfm, AUC", "afm+ minus nfm, AUC", "calibration afm, nfm"),
        *("seconds to fit afm, nfm", "us a row of 50 ads afm, nfm"),
    )
    logs = {
        name: partial(simulated_logs, seeds, rows, world=world) for name, world in WORLDS.items()
    }
    logs |= {name: partial(splits, data, name, seeds) for name in LOGS}
    for name, parts in logs.items():
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
