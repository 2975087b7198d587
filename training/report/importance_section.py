"""The section of a report about what each field is worth."""

from markupsafe import Markup

from model.encoding import Encoder
from model.metrics.bootstrap import Difference
from model.metrics.metrics import JUDGED_BY
from model.scorer import Scorer
from training.data.examples import EncodedRows
from training.data.log import Log
from training.evaluation.importance import MOST_ROWS, importances
from training.report.page import (
    paragraph,
    section,
    table,
)


def importance_section(
    scorer: Scorer, encoder: Encoder, held: EncodedRows, log: Log, part: str, seed: int
) -> Markup:
    """Each field with what the figures lose when its values are permuted over the rows."""
    name = JUDGED_BY[encoder.schema.task]
    figures = ["auc", name] if encoder.schema.task == "click" else [name]
    rows = [
        [one.field, *(cell for figure in figures for cell in _cells(getattr(one, _of(figure))))]
        for one in importances(scorer, encoder, held, log, seed)
    ]
    shown = {"auc": "AUC", "gauc": "GAUC", "rmse": "RMSE"}
    head = ["field"]
    for figure in figures:
        head += [f"{shown.get(figure, figure)} changes by", "95 % interval", ""]
    note = (
        f"Each field's values are permuted over {min(len(log), MOST_ROWS):,} rows of {part}, the "
        "others stay: what the figures change by is what the net takes from the field, with its "
        "paired bootstrap interval. * : 0 lies outside. Fields that say the same stand in for each "
        "other, so each may seem worth little. What a field is worth to another fit says "
        "fit --drop-field."
    )
    return section("Fields", paragraph(note, class_="note"), table(head, rows))


def _of(figure: str) -> str:
    return "auc" if figure == "auc" else "judged"


def _cells(change: Difference | None) -> list[str]:
    if change is None:
        return ["–", "–", ""]
    low, high = change.interval
    star = "*" if change.significant else ""
    return [f"{change.value:+.4f}", f"{low:+.4f} to {high:+.4f}", star]
