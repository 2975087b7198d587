"""The parts of a report that tell of scores: how they rank, and whether they are honest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.schema import Schema
from training.curves import Bin, histogram, precision_recall, rate_bin, reliability, roc
from training.data import Log
from training.metrics import Floats
from training.page import (
    Html,
    charts,
    details,
    element,
    figure,
    joined,
    paragraph,
    section,
    shortened,
    table,
)
from training.plots import Series, chart
from training.slices import slices

BINS = 40  # of the histogram
VALUES = 5  # of a field, beside missing and other ones
FEWEST = 30  # rows of a value that is named


@dataclass(frozen=True)
class Scored:
    """The B rows of a part, with labels, probabilities and weights, float64 [B]."""

    name: str
    log: Log
    labels: Floats
    probabilities: Floats
    weights: Floats

    @classmethod
    def of(cls, name: str, log: Log, probabilities: NDArray[np.float32]) -> "Scored":
        """From a log and the scores of its rows."""
        weights = np.ones(len(log)) if log.weights is None else log.weights.astype(np.float64)
        return cls(
            name, log, log.labels.astype(np.float64), probabilities.astype(np.float64), weights
        )

    @property
    def log_rows(self) -> int:
        """B."""
        return len(self.labels)

    @property
    def has_both_classes(self) -> bool:
        """Whether there are clicks and non-clicks, and nothing else."""
        return set(np.unique(self.labels[self.weights > 0])) == {0.0, 1.0}

    def bin_of(self, rows: NDArray[np.int64]) -> Bin | None:
        """These rows as one bin."""
        return rate_bin(self.labels[rows], self.probabilities[rows], self.weights[rows])


def ranking_section(scored: Scored) -> Html:
    """ROC, precision and recall, and the scores of each class."""
    title = f"Ranking ({scored.name})"
    if not scored.has_both_classes:
        return section(title, paragraph("These rows do not hold clicks and non-clicks: no curves."))
    y, p, w = scored.labels, scored.probabilities, scored.weights
    curve, found = roc(y, p, w), precision_recall(y, p, w)
    rate = float(w @ y / w.sum())
    unit = (0.0, 1.0)
    ends = (0.0, float(np.quantile(p, 0.995)) or 1.0)
    edges = np.linspace(*ends, BINS + 1)
    of_class = [histogram(p[y == label], w[y == label], edges) for label in (1, 0)]
    always = Series(unit, (rate, rate), kind="dashed")
    return section(
        title,
        charts(
            figure(
                "ROC",
                chart(
                    [Series(curve.x, curve.y)],
                    "false positive rate",
                    "true positive rate",
                    x_range=unit,
                    y_range=unit,
                    diagonal=True,
                ),
                "dashed: chance",
            ),
            figure(
                "Precision and recall",
                chart(
                    [Series(found.x, found.y), always],
                    "recall",
                    "precision",
                    x_range=unit,
                    y_range=(0.0, 1.0),
                ),
                legend=["model", "chance: the click rate"],
            ),
            figure(
                "Scores of each class",
                chart(
                    [Series(edges, shares, kind="steps") for shares in of_class],
                    "probability",
                    "share of the class",
                    x_range=ends,
                ),
                "the highest 0.5 % are in the last bin",
                legend=["clicks", "non-clicks"],
            ),
        ),
    )


def calibration_section(scored: Scored, schema: Schema) -> tuple[Html, list[str]]:
    """Reliability by decile and by the values of each field; and the same in words."""
    title = f"Calibration ({scored.name})"
    if not scored.has_both_classes:
        reason = "These rows do not hold clicks and non-clicks: no click rate to compare with."
        return section(title, paragraph(reason)), []
    bins = reliability(scored.labels, scored.probabilities, scored.weights)
    top = 1.05 * max(max(one.probability, one.high) for one in bins)
    points = Series(
        [one.probability for one in bins],
        [one.rate for one in bins],
        [one.low for one in bins],
        [one.high for one in bins],
        kind="points",
    )
    drawing = chart(
        [points],
        "mean probability",
        "click rate",
        x_range=(0, top),
        y_range=(0, top),
        diagonal=True,
    )
    deciles = [[i + 1, *_cells(one)] for i, one in enumerate(bins)]
    by_field, cells, outside = _by_field(scored, schema)
    whole = scored.bin_of(np.arange(scored.log_rows))
    body = section(
        title,
        charts(
            figure("Reliability", drawing, "deciles with 95 % intervals; dashed: honest"),
            element(
                "div",
                joined([element("h3", "By decile"), table(["decile", *_HEAD], deciles)]),
            ),
        ),
        details(
            f"By field: {outside} of {cells} values outside their interval",
            paragraph(
                f"Up to {VALUES} frequent values a field, each in at least {FEWEST} rows and its "
                "field's min_count; a row of a multi-valued field counts for each of its values.",
                class_="note",
            ),
            *by_field,
        ),
    )
    return body, _words(whole, bins, cells, outside) if whole else []


_HEAD = ("rows", "mean probability", "click rate", "95 % interval", "ratio", "")


def _cells(one: Bin) -> list[object]:
    return [
        f"{one.rows:,}",
        f"{one.probability:.4f}",
        f"{one.rate:.4f}",
        f"{one.low:.4f} to {one.high:.4f}",
        "–" if one.ratio is None else f"{one.ratio:.2f}",
        "outside" if one.outside else "",
    ]


def _by_field(scored: Scored, schema: Schema) -> tuple[list[Html], int, int]:
    parts, cells, outside = [], 0, 0
    for name, described in schema.fields.items():
        fewest = max(FEWEST, getattr(described, "min_count", 1))
        rows: list[list[object]] = []
        for part in slices(described, scored.log.columns[name], VALUES, fewest):
            if one := scored.bin_of(part.rows):
                value = "(missing)" if part.value is None else shortened(part.value)
                rows.append([value, *_cells(one)])
                cells, outside = cells + 1, outside + one.outside
        parts += [element("h3", name), table(["value", *_HEAD], rows)]
    return parts, cells, outside


def _words(whole: Bin, bins: list[Bin], cells: int, outside: int) -> list[str]:
    ratio = "undefined" if whole.ratio is None else f"{whole.ratio:.3f}"
    honest = "outside" if whole.outside else "inside"
    wrong = sum(one.outside for one in bins)
    return [
        f"Calibration ratio {ratio}: the mean probability {whole.probability:.4f} lies {honest} "
        f"the 95 % interval of the click rate ({whole.low:.4f} to {whole.high:.4f}). {wrong} of "
        f"{len(bins)} deciles and {outside} of {cells} field values lie outside theirs; of honest "
        "ones, about one in twenty would."
    ]
