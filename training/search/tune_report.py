"""A search for people: the table that the command prints, and report.html."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from training.config import Config
from training.report.labels import flat
from training.report.page import charts, element, figure, page, paragraph, section, table, words
from training.report.plots import Series, chart
from training.search.trials import Ended, Tuned

PRINTED = 10


def printed(tuned: Tuned) -> str:
    """The best trials, best first, a line each."""
    complete = _complete(tuned)[:PRINTED]
    if not complete:
        return "no trial was completed"
    keys = list(complete[0].parameters)
    lines = [["trial", tuned.criterion, "auc", "seconds", *keys]]
    lines += [
        [*_figures(trial), *(_shown(trial.parameters[k]) for k in keys)] for trial in complete
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def format_trial(trial: Ended) -> str:
    """One trial in a line."""
    number, loss, auc, seconds = _figures(trial)
    said = ", ".join(f"{key} {_shown(value)}" for key, value in trial.parameters.items())
    return f"trial {number}  loss {loss}  auc {auc}  {seconds} s  {trial.state}  {said}"


def tune_report(tuned: Tuned, config: Config, settings: Mapping[str, Any]) -> str:
    """The page, as text."""
    title = f"{config.net}: report of a search"
    counts = {
        state: sum(t.state == state for t in tuned.trials) for state in ("complete", "pruned")
    }
    sizes = "{:,} train, {:,} valid".format(*settings["rows"])
    return page(
        title,
        element("h1", title),
        paragraph(
            f"{len(tuned.trials)} trials: {counts['complete']} complete, {counts['pruned']} "
            f"pruned. Rows: {sizes}. Seed {settings['seed']}.",
            class_="lead",
        ),
        words([*(f"Warning: {line}." for line in tuned.warnings), *_words(tuned)]),
        *_charts(tuned),
        _table(tuned),
        section("Settings that all trials share", table(["key", "value"], flat(settings))),
    )


def _words(tuned: Tuned) -> list[str]:
    if tuned.best is None:
        return ["No trial was completed yet."]
    best, first = tuned.best, tuned.trials[0]
    said = [f"Best: trial {best.number}, {tuned.criterion} {best.loss:.5f}."]
    if best.number == 1:
        said.append("It is the configuration that the search began with: no draw beat it.")
    elif first.number == 1 and first.state == "complete":  # it may still be fitted
        said.append(
            f"The configuration that the search began with has {first.loss:.5f}: "
            f"{first.loss - best.loss:.5f} were gained."
        )
    said.append(
        "The rows held out chose the winner among all trials, so its figure is too good: judge it "
        "on rows that no trial has seen."
    )
    return said


def _charts(tuned: Tuned) -> list[Markup]:
    complete = [trial for trial in tuned.trials if trial.state == "complete"]
    if not complete:
        return []
    numbers = [float(trial.number) for trial in complete]
    losses = [trial.loss for trial in complete]
    lowest = [min(losses[: i + 1]) for i in range(len(losses))]
    # the worst trials would flatten all others
    top = sorted(losses)[int(0.9 * (len(losses) - 1))]
    low, span = min(losses), max(top - min(losses), 1e-6)
    y_range = (low - 0.05 * span, top + 0.1 * span)
    drawn = [
        figure(
            "Loss by trial",
            chart(
                [Series(numbers, _within(losses, y_range), kind="points"), Series(numbers, lowest)],
                "trial",
                tuned.criterion,
                x_range=(0.5, max(numbers) + 0.5),
                y_range=y_range,
                counted=True,
            ),
            "complete ones; those above the axis stand at its top",
            ["a trial", "lowest so far"],
        )
    ]
    curves = [
        Series([float(i + 1) for i in range(len(t.curve))], _within(t.curve, y_range))
        for t in _complete(tuned)[:5]
    ]
    drawn.append(
        figure(
            "The five best, epoch by epoch",
            chart(curves, "epoch", f"lowest {tuned.criterion}", y_range=y_range, counted=True),
            "over all steps of a fit",
            [f"trial {trial.number}" for trial in _complete(tuned)[:5]],
        )
    )
    by_key = [
        _by_parameter(key, complete, losses, tuned.criterion, y_range)
        for key in complete[0].parameters
    ]
    return [section("Trials", charts(*drawn)), section("By parameter", charts(*by_key))]


def _by_parameter(
    key: str,
    complete: Sequence[Ended],
    losses: Sequence[float],
    criterion: str,
    y_range: tuple[float, float],
) -> Markup:
    values = [trial.parameters[key] for trial in complete]
    within = _within(losses, y_range)
    if all(isinstance(value, int | float) for value in values) and len(set(values)) > 1:
        logarithmic = min(values) > 0 and max(values) / min(values) > 20
        x = [math.log10(value) if logarithmic else float(value) for value in values]
        label, note = (f"log10 of {key}", "") if logarithmic else (key, "")
    else:
        names = sorted({str(value) for value in values})
        x = [float(names.index(str(value)) + 1) for value in values]
        label, note = key, ", ".join(f"{i + 1}: {name}" for i, name in enumerate(names))
    drawing = chart([Series(x, within, kind="points")], label, criterion, y_range=y_range)
    return figure(key, drawing, note)


def _table(tuned: Tuned) -> Markup:
    if not tuned.trials:
        return Markup("")
    keys = list(tuned.trials[0].parameters)
    pruned = [trial for trial in tuned.trials if trial.state != "complete"]
    rows = [
        [*_figures(trial), trial.state, *(_shown(trial.parameters[key]) for key in keys)]
        for trial in [*_complete(tuned), *pruned]
    ]
    head = ["trial", tuned.criterion, "valid AUC", "seconds", "", *keys]
    note = "Best first; the loss of a pruned trial is the lowest that it had reached."
    return section("All trials", paragraph(note, class_="note"), table(head, rows))


def _complete(tuned: Tuned) -> list[Ended]:
    return sorted((t for t in tuned.trials if t.state == "complete"), key=lambda t: t.loss)


def _within(values: Sequence[float], y_range: tuple[float, float]) -> list[float]:
    return [min(value, y_range[1]) for value in values]


def _figures(trial: Ended) -> list[str]:
    auc = "–" if trial.auc is None else f"{trial.auc:.4f}"
    return [str(trial.number), f"{trial.loss:.5f}", auc, f"{trial.seconds:.1f}"]


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
