"""A bundle as a notebook shows it: what it is, how good it was, its fields and warnings. Like every
page for people it names no private field.
"""

from html import escape
from typing import Any

from model.bundle.opened import OpenedBundle
from model.page.beginning import shown_fields
from model.values.ids import FIRST
from model.vocabulary import FieldVocabulary, Vocabulary

SHOWN = ("rows", "auc", "gauc", "logloss", "rmse", "calibration_ratio")


def card(opened: OpenedBundle) -> str:
    """The HTML, without scripts and styles of its own."""
    manifest, schema = opened.bundle.manifest, opened.bundle.schema
    shown = shown_fields(schema)
    hidden = len(schema.fields) - len(shown)
    fields = [
        [name, field.kind, field.role, _known(opened.vocabularies[name])]
        for name, field in shown.items()
    ]
    names = [name for name in SHOWN if any(part.get(name) for part in manifest.metrics.values())]
    metrics = [
        [part, *(_number(measured.get(name)) for name in names)]
        for part, measured in manifest.metrics.items()
    ]
    said = [f"Warning: {line}" for line in manifest.warnings]
    if hidden:
        said.append(f"{hidden} private {'field' if hidden == 1 else 'fields'} not shown")
    return "".join(
        [
            f"<p><b>{escape(manifest.net)}</b>, task {escape(manifest.task)}, version ",
            f"<code>{escape(manifest.version)}</code>, made {escape(manifest.created)}</p>",
            _table(["part", *names], metrics),
            _table(["field", "kind", "role", "known values"], fields),
            *(f"<p>{escape(line)}</p>" for line in said),
        ]
    )


def _known(vocabulary: FieldVocabulary) -> str:
    return f"{vocabulary.size - FIRST:,}" if isinstance(vocabulary, Vocabulary) else "–"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    return "".join(
        [
            "<table><thead><tr>",
            *(f"<th>{escape(name)}</th>" for name in head),
            "</tr></thead><tbody>",
            *(
                f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>"
                for row in rows
            ),
            "</tbody></table>",
        ]
    )


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
