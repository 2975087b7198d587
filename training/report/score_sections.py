"""The sections of a report about scores: how they rank, and whether they are calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from model.metrics.ranked_rows import Floats
from model.schema import Schema
from training.data.log import Log
from training.evaluation.calibration_bins import (
    FEWEST,
    VALUES,
    CalibrationReport,
    calibration_report,
)
from training.evaluation.curves import Bin, histogram, precision_recall, roc, target_bins
from training.report.page import (
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
from training.report.plots import Series, chart

BINS = 40  # of the histogram


@dataclass(frozen=True)
class Scored:
    """The B rows of a part, with labels, predictions and weights, float64 [B]; the predictions are
    probabilities only for task click.
    """

    name: str
    log: Log
    labels: Floats
    probabilities: Floats
    weights: Floats
    task: str = "click"

    @classmethod
    def of(
        cls, name: str, log: Log, predictions: NDArray[np.float32], task: str = "click"
    ) -> "Scored":
        """From a log and the scores of its rows."""
        weights = np.ones(len(log)) if log.weights is None else log.weights.astype(np.float64)
        labels, predicted = log.labels.astype(np.float64), predictions.astype(np.float64)
        return cls(name, log, labels, predicted, weights, task)

    @property
    def log_rows(self) -> int:
        """B."""
        return len(self.labels)

    @property
    def has_both_classes(self) -> bool:
        """Whether there are clicks and non-clicks, and nothing else."""
        return self.task == "click" and set(np.unique(self.labels[self.weights > 0])) == {0.0, 1.0}


def ranking_section(scored: Scored) -> Markup:
    """ROC, precision and recall, and the scores of each class."""
    title = f"Ranking ({scored.name})"
    if scored.task != "click":
        return Markup("")  # its curves are a classifier's
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


def calibration_section(scored: Scored, schema: Schema) -> tuple[Markup, list[str]]:
    """Reliability by decile and by the values of each field; and the same in words."""
    title = f"Calibration ({scored.name})"
    if scored.task == "regression":
        return targets_section(scored), []
    if scored.task == "ranking":
        return Markup(""), []
    if not scored.has_both_classes:
        reason = "These rows do not hold clicks and non-clicks: no click rate to compare with."
        return section(title, paragraph(reason)), []
    measured = calibration_report(
        scored.labels, scored.probabilities, scored.weights, scored.log.columns, schema
    )
    bins = measured.deciles
    top = 1.05 * max(max(one.probability, one.high) for one in bins)
    points = Series(
        [one.probability for one in bins],
        [one.rate for one in bins],
        [one.low for one in bins],
        [one.high for one in bins],
        kind="points",
    )
    drawing = _honest(points, ("mean probability", "click rate"), (0, top))
    by_field = _by_field(measured)
    cells, outside = len(measured.values), sum(one.bin.outside for one in measured.values)
    body = section(
        title,
        charts(
            figure("Reliability", drawing, "deciles, 95 % intervals; dashed: perfect calibration"),
            _by_decile(_HEAD, [_cells(one) for one in bins]),
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
    return body, _words(measured.whole, bins, cells, outside)


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


def targets_section(scored: Scored) -> Markup:
    """Mean prediction against mean target, by decile of the predictions."""
    bins = target_bins(scored.labels, scored.probabilities, scored.weights)
    ends = [end for one in bins for end in (one.prediction, one.low, one.high)]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    span = (min(ends) - room, max(ends) + room)
    points = Series(
        [one.prediction for one in bins],
        [one.target for one in bins],
        [one.low for one in bins],
        [one.high for one in bins],
        kind="points",
    )
    names = ("mean prediction", "mean target")
    rows = [
        (
            f"{one.rows:,}",
            f"{one.prediction:.4g}",
            f"{one.target:.4g}",
            f"{one.low:.4g} to {one.high:.4g}",
        )
        for one in bins
    ]
    return section(
        f"Targets ({scored.name})",
        charts(
            figure(
                "Predictions and targets",
                _honest(points, names, span),
                "deciles with 95 % intervals",
            ),
            _by_decile(("rows", *names, "95 % interval"), rows),
        ),
    )


def _honest(points: Series, names: tuple[str, str], span: tuple[float, float]) -> Markup:
    # both axes over one range: on the diagonal, what was predicted came
    return chart([points], *names, x_range=span, y_range=span, diagonal=True)


def _by_decile(head: Sequence[str], cells: Sequence[Sequence[object]]) -> Markup:
    rows = [[number, *row] for number, row in enumerate(cells, 1)]
    return element("div", joined([element("h3", "By decile"), table(["decile", *head], rows)]))


def _by_field(measured: CalibrationReport) -> list[Markup]:
    parts = []
    for name in dict.fromkeys(one.field for one in measured.values):
        rows: list[list[object]] = [
            ["(missing)" if one.value is None else shortened(one.value), *_cells(one.bin)]
            for one in measured.values
            if one.field == name
        ]
        parts += [element("h3", name), table(["value", *_HEAD], rows)]
    return parts


def _words(whole: Bin, bins: list[Bin], cells: int, outside: int) -> list[str]:
    ratio = "undefined" if whole.ratio is None else f"{whole.ratio:.3f}"
    side = "outside" if whole.outside else "inside"
    wrong = sum(one.outside for one in bins)
    return [
        f"Calibration ratio {ratio}: the mean probability {whole.probability:.4f} lies {side} "
        f"the 95 % interval of the click rate ({whole.low:.4f} to {whole.high:.4f}). {wrong} of "
        f"{len(bins)} deciles and {outside} of {cells} field values lie outside their interval; "
        "with perfect calibration about one in twenty would."
    ]
