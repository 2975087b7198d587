"""Nets and seeds compared on one split: the runs, and the table of their figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.bundle.bundle import Bundle
from model.metrics.bootstrap import RESAMPLES, Difference, Resampled, differences
from model.metrics.ranked_rows import NAMES
from training.compare.peer import Peer
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
class ComparedFigure:
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
    peer: Peer | None = None

    def of(self, net: str) -> list[Run]:
        """The runs of one net."""
        return [run for run in self.runs if run.net == net]

    def prices(self) -> dict[str, dict[str, Difference]]:
        """By net and figure, mean over its seeds, the net minus the peer; empty without a peer."""
        if self.peer is None:
            return {}
        found = {}
        for net in self.nets:
            runs = [run.resampled for run in self.of(net)]
            gaps = differences([self.peer.resampled], runs)
            found[net] = {name: gap for name, gap in gaps.items() if gap is not None}
        return found

    def table(self) -> list[ComparedFigure]:
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
                of_metric.append(ComparedFigure(metric, net, mean, spread, difference))
            if any(row.mean is not None for row in of_metric):
                rows += of_metric
        return rows


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
        **({} if compared.peer is None else _peer_json(compared, compared.peer)),
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


def _peer_json(compared: Comparison, peer: Peer) -> dict[str, Any]:
    figures = {name: value for name, value in peer.resampled.whole.items() if value == value}
    return {
        "against": {
            "name": peer.name,
            "trees": peer.trees,
            "seconds": peer.seconds,
            "figures": figures,
            "gaps": {
                net: {
                    name: {"difference": gap.value, "interval": list(gap.interval)}
                    for name, gap in gaps.items()
                }
                for net, gaps in compared.prices().items()
            },
        }
    }
