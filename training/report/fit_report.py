"""report.html: what a fit came to, in one file without outside assets.

It shows no raw value of the log but those of pairs and slices that stand in enough rows; see
`report_pairs` and `report_scores`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from model.encoding import Encoder
from model.metrics.bootstrap import intervals, resample
from model.metrics.metrics import Metrics
from model.metrics.ranked_rows import NAMES
from model.scorer import Scorer
from model.values.ids import FIRST
from model.vocabulary import FieldVocabulary
from training.data.examples import EncodedRows
from training.data.log import Log
from training.evaluation.baseline import baseline_words
from training.evaluation.coverage import Coverage, counts_of
from training.evaluation.predicted import predicted
from training.report.importance_section import importance_section
from training.report.labels import HEADLINE, LABELS, flat
from training.report.learning_section import (
    choice_words,
    growth_section,
    learning_section,
    progressive_section,
    stage_words,
)
from training.report.page import (
    element,
    heat_cell,
    joined,
    page,
    paragraph,
    section,
    table,
    words,
)
from training.report.pair_sections import pairs_section
from training.report.score_sections import Scored, calibration_section, ranking_section


@dataclass(frozen=True)
class Fit:
    """What a report shows: a fitted net, its data and how it was fitted.

    `train` are the training rows; `parts` "valid" and perhaps "test", with their `metrics`;
    `training` has the seed, the configuration and the epochs; `warnings` are said first.
    """

    net: str
    task: str
    encoder: Encoder
    vocabularies: Mapping[str, FieldVocabulary]
    scorer: Scorer
    train: EncodedRows
    parts: Mapping[str, tuple[EncodedRows, Log]]
    metrics: Mapping[str, Metrics]
    training: Mapping[str, Any]
    warnings: Sequence[str] = ()


def report(fit: Fit) -> str:
    """The page, as text. Its charts show "test" where there is one, else "valid"."""
    scored = {name: _scored(fit, name, *rows) for name, rows in fit.parts.items()}
    shown = scored.get("test") or scored["valid"]
    schema = fit.encoder.schema
    seed = int(fit.training.get("seed", 1))
    calibration, calibration_words = calibration_section(shown, schema)
    held = fit.parts[shown.name][0]
    pairs, pair_words = pairs_section(
        fit.scorer, fit.encoder, fit.vocabularies, held, shown.name, seed
    )
    said = [
        *(f"Warning: {line}." for line in fit.warnings),
        *_headline(fit, shown),
        *stage_words(fit.training),
        *_baseline_words(fit),
        *calibration_words,
        *choice_words(fit.training),
        *pair_words,
    ]
    rows = {"train": len(fit.train), **{name: len(log) for name, (_, log) in fit.parts.items()}}
    counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    lead = f"Task {fit.task}, {len(schema.fields)} fields, rows: {counts}."
    return page(
        f"{fit.net}: report of a fit",
        element("h1", joined([element("code", fit.net), ": report of a fit"], "")),
        paragraph(lead, class_="lead"),
        words(said),
        _figures_section(fit, scored),
        learning_section(fit.training),
        progressive_section(fit.training),
        ranking_section(shown),
        calibration,
        importance_section(fit.scorer, fit.encoder, *fit.parts[shown.name], shown.name, seed),
        pairs,
        growth_section(fit.training),
        _coverage_section(fit),
        _timings_section(fit, held),
        _settings_section(fit.training),
    )


def _scored(fit: Fit, name: str, rows: EncodedRows, log: Log) -> Scored:
    return Scored.of(name, log, predicted(fit.scorer, rows), fit.task)


def _headline(fit: Fit, shown: Scored) -> list[str]:
    measured = fit.metrics[shown.name]
    named = [
        f"{LABELS[name]} {value:.4f}"
        for name in HEADLINE[fit.task]
        if isinstance(value := measured.get(name), float)
    ]
    return [f"On {shown.name} ({shown.log_rows:,} rows): {', '.join(named)}."] if named else []


def _baseline_words(fit: Fit) -> list[str]:
    facts = fit.training.get("baseline")
    if facts is None:
        return []
    words = baseline_words(fit.net, facts)
    return [f"Served, each with its own calibration: {words}."]


def _figures_section(fit: Fit, scored: Mapping[str, Scored]) -> Markup:
    found = {}
    for name, one in scored.items():
        drawn = resample(one.labels, one.probabilities, one.weights, one.log.group, task=fit.task)
        found[name] = intervals(drawn)
    head = ["figure", *(part for name in scored for part in (name, "95 % interval"))]
    rows: list[list[object]] = []
    for name in NAMES:
        row: list[object] = [LABELS.get(name, name)]
        for part in scored:
            value, interval = fit.metrics[part].get(name), found[part].get(name)
            row.append("–" if value is None else f"{value:.4f}")
            row.append("–" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}")
        if any(cell != "–" for cell in row[1:]):
            rows.append(row)
    counted = (("rows", "rows"), ("clicks", "positives"))
    for title, name in counted if fit.task == "click" else counted[:1]:
        cells = [(fit.metrics[part].get(name), "") for part in scored]
        flat = (cell for pair in cells for cell in pair)
        rows.append([title, *("–" if cell is None else cell for cell in flat)])
    note = (
        "Intervals: percentiles of 200 bootstrap resamples of the rows"
        + (" by group" if any(one.log.group is not None for one in scored.values()) else "")
        + ". They cover the choice of the rows, not that of the seed. Noise only "
        "increases ECE; its interval is corrected for that and may begin at 0. The valid rows "
        "chose the epochs and the calibration, so their figures are a little too good."
    )
    return section("Figures", table(head, rows), paragraph(note, class_="note"))


def _coverage_section(fit: Fit) -> Markup:
    rows_of = {"train": fit.train, **{name: rows for name, (rows, _) in fit.parts.items()}}
    found = {
        part: {name: of.coverage for name, of in counts_of(rows, fit.encoder).items()}
        for part, rows in rows_of.items()
    }
    head: list[object] = ["field", "kind", "known values"]
    head += [joined([name, element("small", what)], " ") for what in _RATES for name in found]
    rows = [
        [
            name,
            f"{described.kind}, {described.role}",
            fit.vocabularies[name].size - FIRST,
            *(_rate_cell(found[part][name], what) for what in _RATES for part in found),
        ]
        for name, described in fit.encoder.schema.fields.items()
    ]
    note = (
        "Missing: share of the rows without a value. Unknown: share of the values that are not in "
        "the vocabulary; in the training rows, those rarer than the field's min_count."
    )
    return section(
        "Missing and unknown values", paragraph(note, class_="note"), table(head, rows, texts=2)
    )


_RATES = ("missing", "unknown")


def _rate_cell(found: Coverage, what: str) -> Markup:
    share = found.missing if what == "missing" else found.unknown
    return heat_cell(share, "–" if share is None else f"{100 * share:.2f} %")


def _timings_section(fit: Fit, scored: EncodedRows) -> Markup:
    epochs: Sequence[Mapping[str, Any]] = fit.training.get("epochs", [])
    rows: list[Sequence[object]] = []
    for step in dict.fromkeys(epoch["step"] for epoch in epochs):
        seconds = [e["seconds"] for e in epochs if e["step"] == step]
        each = sum(seconds) / len(seconds)
        speed = f"{len(fit.train) / max(each, 1e-9):,.0f}"
        rows.append([f"fit {step}", len(seconds), f"{sum(seconds):.1f}", f"{each:.2f}", speed])
    (part,) = scored.encoded(2000, 2000)
    began = time.perf_counter()
    fit.scorer.predict(part)
    took = time.perf_counter() - began
    speed = f"{len(part) / max(took, 1e-9):,.0f}"
    rows.append(["score, one thread", "", f"{took:.3f}", "", speed])
    head = ["what", "epochs", "seconds", "seconds an epoch", "rows a second"]
    note = "Wall time on the machine of the fit, with whatever load it had."
    return section("Timings", table(head, rows), paragraph(note, class_="note"))


def _settings_section(training: Mapping[str, Any]) -> Markup:
    elsewhere = ("epochs", "baseline", "from", "replayed", "grown")
    settings = {key: value for key, value in training.items() if key not in elsewhere}
    return section("Settings", table(["key", "value"], list(flat(settings))))
