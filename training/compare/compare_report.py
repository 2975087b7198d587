"""A comparison for people: the table that the command prints, and report.html."""

from collections.abc import Sequence
from urllib.parse import quote

from markupsafe import Markup

from model.metrics.bootstrap import RESAMPLES
from training.compare.comparison import ComparedFigure, Comparison, Run
from training.evaluation.curves import reliability, roc
from training.report.labels import HEADLINE, LABELS, flat
from training.report.page import charts, element, figure, page, paragraph, section, table, words
from training.report.plots import COLOURS, Series, chart, whiskers

CHARTED = ("auc", "pr_auc", "gauc", "ndcg@10", "logloss", "brier", "rmse", "mae", "ece")
# what is said in words
HIGHER_IS_BETTER = {"auc": True, "gauc": True, "ndcg@10": True, "logloss": False, "rmse": False}


PRICED = ("auc", "logloss", "rmse")


def printed(compared: Comparison) -> str:
    """The table as text, a line for each metric and net."""
    lines = [
        ["metric", "net", "mean", "deviation", f"minus {compared.nets[0]}", "95 % interval", ""]
    ]
    for row in compared.table():
        name = row.metric if row.net == compared.nets[0] else ""
        lines.append([name, row.net, *_numbers(row)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*table, *price_words(compared)])


def price_words(compared: Comparison) -> list[str]:
    """What a net that explains itself gives up against the peer, a line each; none without one."""
    peer, said = compared.peer, []
    for net, gaps in compared.prices().items():
        assert peer is not None  # noqa: S101  without one there are no prices
        shown = []
        for name in PRICED:
            if (gap := gaps.get(name)) is not None:
                low, high = gap.interval
                shown.append(
                    f"{LABELS[name]} {peer.resampled.whole[name] + gap.value:.4f} to "
                    f"{peer.resampled.whole[name]:.4f}: {gap.value:+.4f} "
                    f"(95 %: {low:+.4f} to {high:+.4f})"
                )
        said.append(f"the price of explanation, {net} to {peer.name}: {'; '.join(shown)}")
    return said


def comparison_report(compared: Comparison) -> str:
    """The page, as text."""
    title = f"{', '.join(compared.nets)} compared"
    seeds = ", ".join(map(str, compared.seeds))
    rows = ", ".join(f"{count:,} {part}" for part, count in compared.rows.items() if count)
    found = compared.table()
    return page(
        title,
        element("h1", title),
        paragraph(f"One split; rows: {rows}. Seeds: {seeds}.", class_="lead"),
        words([*_verdicts(compared, found), *_price(compared), *_caution(compared)]),
        _table_section(compared, found),
        _differences_section(compared, found),
        _learning_section(compared),
        _scores_section(compared),
        _runs_section(compared),
        _settings_section(compared),
    )


def _numbers(row: ComparedFigure) -> list[str]:
    difference = row.difference
    return [
        "–" if row.mean is None else f"{row.mean:.4f}",
        "" if row.deviation is None else f"{row.deviation:.4f}",
        "" if difference is None else f"{difference.value:+.4f}",
        "" if difference is None else "{:+.4f} to {:+.4f}".format(*difference.interval),
        "*" if difference is not None and difference.significant else "",
    ]


def _verdicts(compared: Comparison, rows: Sequence[ComparedFigure]) -> list[str]:
    first, part = compared.nets[0], compared.part
    said = []
    for row in rows:
        difference, better_up = row.difference, HIGHER_IS_BETTER.get(row.metric)
        if difference is None or better_up is None:
            continue
        low, high = difference.interval
        between = f"{difference.value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        figure_of = f"{part} {LABELS.get(row.metric, row.metric)}"
        if not difference.significant:
            verdict = f"{row.net} and {first} differ in {figure_of} by no more than chance"
        elif (difference.value > 0) == better_up:
            verdict = f"{row.net} is better than {first} on {figure_of}"
        else:
            verdict = f"{row.net} is worse than {first} on {figure_of}"
        said.append(f"{verdict}: {between}.")
    return said


def _price(compared: Comparison) -> list[str]:
    return [f"{line[0].upper()}{line[1:]}." for line in price_words(compared)]


def _caution(compared: Comparison) -> list[str]:
    if compared.part == "test":
        return []
    return [
        "There were no test rows: the figures are those of the rows that chose the epochs and the "
        "calibration, and flatter every net."
    ]


def _table_section(compared: Comparison, rows: Sequence[ComparedFigure]) -> Markup:
    head = ["figure", "net", "mean", "deviation", f"minus {compared.nets[0]}", "95 % interval", ""]
    cells = []
    for row in rows:
        name = LABELS.get(row.metric, row.metric) if row.net == compared.nets[0] else ""
        cells.append([name, row.net, *_numbers(row)])
    note = (
        f"On {compared.part}: mean and deviation over the seeds, and the difference to "
        f"{compared.nets[0]} with its paired bootstrap interval ({RESAMPLES} resamples of the "
        "rows, the same for every net). * : 0 lies outside. The interval tells of other rows, the "
        "deviation of other seeds."
    )
    return section("Figures", paragraph(note, class_="note"), table(head, cells, texts=2))


def _differences_section(compared: Comparison, rows: Sequence[ComparedFigure]) -> Markup:
    drawn = []
    for metric in CHARTED:
        of_metric = [
            (row.net, row.difference.value, *row.difference.interval)
            for row in rows
            if row.metric == metric and row.difference is not None
        ]
        if of_metric:
            label = LABELS.get(metric, metric)
            drawing = whiskers(of_metric, f"{label} minus that of {compared.nets[0]}")
            drawn.append(figure(label, drawing))
    note = "Coloured: the interval excludes 0."
    return (
        section("Differences", paragraph(note, class_="note"), charts(*drawn))
        if drawn
        else Markup("")
    )


def _learning_section(compared: Comparison) -> Markup:
    runs = [run for run in _first_runs(compared) if run.epochs]
    if not runs:
        return Markup("")

    def curves(key: str) -> Markup:
        series = []
        for run in runs:
            known = [(i + 1.0, e[key]) for i, e in enumerate(run.epochs) if e[key] is not None]
            x, y = zip(*known, strict=True) if known else ((), ())
            series.append(Series(x, y))
        return chart(series, "epoch", key.replace("valid_", ""), counted=True)

    names = [run.net for run in runs]
    note = f"seed {compared.seeds[0]}; a net of several steps goes through all of them"
    criterion = runs[0].bundle.manifest.training["criterion"]
    title = f"{criterion[0].upper()}{criterion[1:]} on valid, by epoch"
    drawn = [figure(title, curves("valid_loss"), note, names)]
    if all(any(epoch["valid_auc"] for epoch in run.epochs) for run in runs):
        drawn.append(figure("AUC on valid, by epoch", curves("valid_auc"), note, names))
    return section("Learning", charts(*drawn))


def _scores_section(compared: Comparison) -> Markup:
    runs = [run for run in _first_runs(compared) if run.scored.has_both_classes]
    if not runs:
        return Markup("")
    names = [run.net for run in runs]
    note = f"seed {compared.seeds[0]}"
    rates, honest = [], []
    for run in runs:
        arrays = run.scored.labels, run.scored.probabilities, run.scored.weights
        rates.append(Series(*roc(*arrays)))
        bins = reliability(*arrays)
        honest.append(Series([one.probability for one in bins], [one.rate for one in bins]))
    unit = (0.0, 1.0)
    top = 1.05 * max(max((*one.x, *one.y)) for one in honest)
    return section(
        f"Scores ({compared.part})",
        charts(
            figure(
                "ROC",
                chart(
                    rates,
                    "false positive rate",
                    "true positive rate",
                    x_range=unit,
                    y_range=unit,
                    diagonal=True,
                ),
                note,
                names,
            ),
            figure(
                "Reliability by decile",
                chart(
                    honest,
                    "mean probability",
                    "click rate",
                    x_range=(0, top),
                    y_range=(0, top),
                    diagonal=True,
                ),
                f"{note}; dashed: perfect calibration",
                names,
            ),
        ),
    )


def _runs_section(compared: Comparison) -> Markup:
    rows = []
    headline = HEADLINE[compared.runs[0].bundle.schema.task][:2]
    for run in compared.runs:
        link = element("a", run.name, href=f"{quote(run.name)}/report.html")
        size = sum(record.size for record in run.bundle.manifest.files.values())
        shown = (run.resampled.whole[name] for name in headline)
        cells = [f"{value:.4f}" if value == value else "–" for value in shown]
        rows.append([link, *cells, len(run.epochs), f"{run.seconds:.1f}", f"{size / 1e6:.2f}"])
    head = ["bundle", *(LABELS[name] for name in headline), "epochs", "seconds", "MB"]
    return section("Runs", table(head, rows))


def _settings_section(compared: Comparison) -> Markup:
    config = compared.runs[0].bundle.manifest.training["config"]
    settings = {key: value for key, value in config.items() if key != "net"}
    return section("Settings of all runs", table(["key", "value"], flat(settings)))


def _first_runs(compared: Comparison) -> list[Run]:
    # one a net, as many as there are colours
    return [compared.of(net)[0] for net in compared.nets][:COLOURS]
