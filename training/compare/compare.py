"""`afm-train compare`: several nets, each with several seeds, on one split of one log."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle.bundle import Bundle, new_bundle
from model.errors import ConfigError
from model.metrics.bootstrap import RESAMPLES, Difference, Resampled, differences, resample
from model.metrics.metrics import NAMES
from model.nets import NETS
from model.schema import Schema
from training.config import Config
from training.data.log import Log, require_contrast, split, weigh_negatives
from training.fit.fit import encode, fit, objective_of
from training.fit.loop import Watcher
from training.report.score_sections import Scored


@dataclass(frozen=True)
class Run:
    """One net fitted with one seed: its bundle, and the part it is judged on, scored by it."""

    net: str
    seed: int
    bundle: Bundle
    scored: Scored
    resampled: Resampled

    @property
    def name(self) -> str:
        """Of its bundle's directory."""
        return f"{self.net}-{self.seed}"

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The epochs of its fit."""
        epochs: list[dict[str, Any]] = self.bundle.manifest.training["epochs"]
        return epochs

    @property
    def seconds(self) -> float:
        """How long they took."""
        return float(sum(epoch["seconds"] for epoch in self.epochs))


@dataclass(frozen=True)
class Row:
    """One figure of one net: `mean` and `deviation` over the seeds (None with one seed), and the
    `difference` to the first net (None for it). None, too, where the rows leave it undefined.
    """

    metric: str
    net: str
    mean: float | None
    deviation: float | None
    difference: Difference | None


@dataclass(frozen=True)
class Comparison:
    """The runs, net by net, on the part called `part` ("test", or "valid" without one)."""

    nets: tuple[str, ...]
    seeds: tuple[int, ...]
    part: str
    rows: Mapping[str, int]  # of each part
    runs: tuple[Run, ...]

    def of(self, net: str) -> list[Run]:
        """The runs of one net."""
        return [run for run in self.runs if run.net == net]

    def table(self) -> list[Row]:
        """Every figure that is defined for some net, metric by metric."""
        first = [run.resampled for run in self.of(self.nets[0])]
        against = {
            net: differences(first, [run.resampled for run in self.of(net)])
            for net in self.nets[1:]
        }
        rows = []
        for metric in NAMES:
            of_metric = []
            for net in self.nets:
                values = np.array([run.resampled.whole[metric] for run in self.of(net)])
                defined = bool(np.isfinite(values).all())
                spread = float(values.std(ddof=1)) if defined and len(values) > 1 else None
                difference = against[net][metric] if net in against else None
                mean = float(values.mean()) if defined else None
                of_metric.append(Row(metric, net, mean, spread, difference))
            if any(row.mean is not None for row in of_metric):
                rows += of_metric
        return rows


def compare(
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    nets: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    watcher: Watcher,
    began: Callable[[str], None],
) -> Comparison:
    """Fit each of `nets` with each of `seeds`, and write DIR/NET-SEED bundles, results.json and
    report.html: all of it, or nothing. `began` is told of each run.

    Without `valid`, one part of `log` is held out for all runs; without `test`, they are judged on
    the part that chose their epochs, which flatters all of them.

    Raises:
        ConfigError: an unknown net, or one given twice, or a seed.
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written.
        ParityError: see `fit`.
        KeyboardInterrupt: Ctrl-C; a comparison of some runs would be none.
    """
    from training.compare.compare_report import comparison_report

    _check(nets, seeds)
    with new_bundle(out) as directory:
        objective_of(config, schema)
        require_contrast(log, schema.task, "training")
        train = log
        if valid is None:
            train, valid = split(log, schema, share=config.valid_share, seed=seeds[0])
        part, judged = ("valid", valid) if test is None else ("test", test)
        judged = weigh_negatives(judged, config.negatives_kept)
        runs = []
        for net in nets:
            for seed in seeds:
                began(f"{net}, seed {seed}")
                chosen = config.model_copy(update={"net": net})
                place = directory / f"{net}-{seed}"
                if fit(train, valid, test, schema, chosen, place, seed, watcher).interrupted:
                    raise KeyboardInterrupt
                runs.append(_judged(net, seed, Bundle.open(place), part, judged))
        sizes = {"train": len(train), "valid": len(valid), "test": 0 if test is None else len(test)}
        compared = Comparison(tuple(nets), tuple(seeds), part, sizes, tuple(runs))
        results = json.dumps(as_json(compared), indent=2, ensure_ascii=False) + "\n"
        (directory / "results.json").write_text(results, encoding="utf-8")
        (directory / "report.html").write_text(comparison_report(compared), encoding="utf-8")
    return compared


def as_json(compared: Comparison) -> dict[str, Any]:
    """What results.json holds."""
    return {
        "part": compared.part,
        "rows": dict(compared.rows),
        "nets": list(compared.nets),
        "seeds": list(compared.seeds),
        "resamples": RESAMPLES,
        "table": [
            {
                "metric": row.metric,
                "net": row.net,
                "mean": row.mean,
                "deviation": row.deviation,
                "difference": None if row.difference is None else row.difference.value,
                "interval": None if row.difference is None else list(row.difference.interval),
            }
            for row in compared.table()
        ],
        "runs": {
            run.name: {
                "version": run.bundle.version,
                "metrics": run.bundle.manifest.metrics,
                "epochs": len(run.epochs),
                "seconds": run.seconds,
            }
            for run in compared.runs
        },
    }


def _check(nets: Sequence[str], seeds: Sequence[int]) -> None:
    for net in nets:
        if net not in NETS:
            raise ConfigError(f"--nets: no net {net!r}; there are {', '.join(NETS)}")
    for option, given in (("--nets", nets), ("--seeds", seeds)):
        if not given:
            raise ConfigError(f"{option}: none given")
        if len(set(given)) < len(given):
            raise ConfigError(f"{option}: one stands twice: {','.join(map(str, given))}")


def _judged(net: str, seed: int, bundle: Bundle, part: str, log: Log) -> Run:
    predictions = bundle.scorer().predict(encode(bundle.encoder(), log)).predictions
    task = bundle.schema.task
    resampled = resample(log.labels, predictions, log.weights, log.group, task=task)
    return Run(net, seed, bundle, Scored.of(part, log, predictions, task), resampled)
