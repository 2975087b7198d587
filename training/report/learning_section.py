"""The sections of a report about the fit: its epochs, its steps, its calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from training.report.page import charts, details, figure, paragraph, section, table
from training.report.plots import Series, chart


def learning_section(training: Mapping[str, Any]) -> Markup:
    """Loss and AUC by epoch, over all steps of a fit; empty where no epoch was run."""
    epochs: Sequence[Mapping[str, Any]] = training.get("epochs", [])
    if not epochs:
        return Markup("")
    criterion = f"valid {training.get('criterion', 'logloss')}"
    numbers = [float(i + 1) for i in range(len(epochs))]
    starts = [i for i, e in enumerate(epochs) if i == 0 or e["step"] != epochs[i - 1]["step"]]
    marks = [(i + 0.5, str(epochs[i]["step"])) for i in starts] if len(starts) > 1 else []
    span = (0.5, len(epochs) + 0.5)
    losses = [
        Series(numbers, [e["train_loss"] for e in epochs]),
        Series(numbers, [e["valid_loss"] for e in epochs]),
    ]
    drawn = [
        figure(
            "Loss",
            chart(losses, "epoch", "loss", x_range=span, marks=marks, counted=True),
            f"training with dropout, {criterion} without",
            ["train", "valid"],
        )
    ]
    known = [(n, e["valid_auc"]) for n, e in zip(numbers, epochs, strict=True) if e["valid_auc"]]
    if known:
        x, y = zip(*known, strict=True)
        drawing = chart([Series(x, y)], "epoch", "AUC", x_range=span, marks=marks, counted=True)
        drawn.append(figure("AUC on valid", drawing))
    rows = [
        [
            e["step"],
            e["number"],
            f"{e['train_loss']:.4f}",
            f"{e['valid_loss']:.4f}",
            "–" if e["valid_auc"] is None else f"{e['valid_auc']:.4f}",
            f"{e['learning_rate']:.2g}",
            f"{e['seconds']:.1f}",
            "best so far" if e["best"] else "",
        ]
        for e in epochs
    ]
    head = ["step", "epoch", "train loss", criterion, "valid AUC", "rate", "seconds", ""]
    return section("Learning", charts(*drawn), details("Every epoch", table(head, rows)))


def progressive_section(training: Mapping[str, Any]) -> Markup:
    """Loss and AUC of the rows of a pass in the log's order, each before it was trained on, by
    window; empty where there was no such pass.
    """
    windows = [one for e in training.get("epochs", []) for one in e.get("windows") or ()]
    if not windows:
        return Markup("")
    ends = [one["first"] + one["rows"] for one in windows]
    drawn = []
    for key, name in (("loss", "Loss"), ("auc", "AUC")):
        known = [(end, one[key]) for end, one in zip(ends, windows, strict=True) if one[key]]
        if known:
            x, y = zip(*known, strict=True)
            drawing = chart([Series(x, y)], "rows", name, x_range=(0, ends[-1]))
            drawn.append(figure(f"{name} by window", drawing))
    rows = [
        [
            f"{one['first'] + 1:,} to {end:,}",
            *("–" if one[key] is None else f"{one[key]:.4f}" for key in ("loss", "auc")),
        ]
        for one, end in zip(windows, ends, strict=True)
    ]
    note = (
        "Each row was scored before the net was trained on it. Vocabularies, scales and the bias "
        "that the pass began with are of the whole log."
    )
    every = details("Every window", table(["rows", "loss", "AUC"], rows))
    return section("Before training", charts(*drawn), paragraph(note, class_="note"), every)


def stage_words(training: Mapping[str, Any]) -> list[str]:
    """What the last step of a fit of several changed; whether that is more than luck is said of
    the nets as served.
    """
    epochs: Sequence[Mapping[str, Any]] = training.get("epochs", [])
    steps = list(dict.fromkeys(epoch["step"] for epoch in epochs))
    if len(steps) < 2:
        return []
    before, after = steps[-2], steps[-1]
    criterion = f"valid {training.get('criterion', 'logloss')}"
    start = min((e for e in epochs if e["step"] == before), key=lambda e: e["valid_loss"])
    ends = [e for e in epochs if e["step"] == after and e["best"]]
    said = f"{before} reached {criterion} {start['valid_loss']:.4f}{_auc(start)}"
    if not ends:
        return [
            f"The attention stage gained nothing: no epoch of {after} improved on its start, so "
            f"the net is kept as that stage began. {said} before it."
        ]
    end = ends[-1]
    gain = start["valid_loss"] - end["valid_loss"]
    verdict = "lowered" if gain > 0 else "raised"
    return [
        f"The attention stage {verdict} {criterion} by {abs(gain):.4f}: {said}, {after} "
        f"{end['valid_loss']:.4f}{_auc(end)} (both before calibration; these rows also chose "
        "the epochs)."
    ]


def choice_words(training: Mapping[str, Any]) -> list[str]:
    """Which calibration was chosen, and by what; nothing where the task has none."""
    chosen: Mapping[str, Any] | None = training.get("calibration")
    if chosen is None:
        return []
    losses: Mapping[str, float] = chosen["cross_validated_logloss"]
    if not losses:
        return [f"Calibration: {chosen['kind']}."]
    shown = ", ".join(f"{kind} {loss:.5f}" for kind, loss in losses.items())
    return [
        f"Calibration: {chosen['kind']}, the simplest whose cross-validated logloss on valid is "
        f"within one standard error of the lowest ({shown})."
    ]


def growth_section(training: Mapping[str, Any]) -> Markup:
    """The bundle that a warm start began with, and the values it added; empty for another fit."""
    if "from" not in training:
        return Markup("")
    said = f"This fit started from the bundle of version {training['from']}"
    if training["replayed"]:
        said += f", with {training['replayed']:,} older rows replayed"
    grown: Mapping[str, Mapping[str, int]] = training["grown"]
    rows = [[name, f"{sizes['old']:,}", f"{sizes['new']:,}"] for name, sizes in grown.items()]
    head = ["field", "values it had", "that came"]
    return section("Warm start", paragraph(f"{said}."), *([table(head, rows)] if rows else []))


def _auc(epoch: Mapping[str, Any]) -> str:
    return "" if epoch["valid_auc"] is None else f", AUC {epoch['valid_auc']:.4f}"
