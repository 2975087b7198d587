"""What the explain page begins with: the fields and their values, and an example to change.

Private fields are not in it: a source that one of them reads is neither named nor asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from model.bundle.bundle import Bundle
from model.bundle.golden import GoldenCase
from model.manifest import Manifest
from model.schema import Field, MultivalueField, NumericField, Schema
from model.values.scales import Bins, Scaler
from model.values.values import Row, Value
from model.vocabulary import FieldVocabulary, Vocabulary

MOST_VALUES = 10_000  # of a field's vocabulary that are suggested, the most frequent ones
MOST_CANDIDATES = 8


def shown_fields(schema: Schema) -> dict[str, Field]:
    """The fields that a page may show: not private, and of no source that a private one reads."""
    hidden = schema.private_sources
    return {n: field for n, field in schema.fields.items() if schema.sources[n] not in hidden}


def beginning(
    bundle: Bundle, vocabularies: Mapping[str, FieldVocabulary], most_values: int = MOST_VALUES
) -> dict[str, Any]:
    """What the page needs to know of a version, as JSON has it."""
    schema, manifest = bundle.schema, bundle.manifest
    shown = shown_fields(schema)
    return {
        "version": bundle.version,
        "net": manifest.net,
        "task": manifest.task,
        "created": manifest.created,
        "calibration": calibration(manifest),
        "fields": [
            _field(schema, name, field, vocabularies[name], most_values)
            for name, field in shown.items()
        ],
        "private": len(schema.fields) - len(shown),
        "example": example(schema, bundle.read_golden()),
    }


def calibration(manifest: Manifest) -> dict[str, Any] | None:
    """How a logit becomes a probability; None where the task has none."""
    return manifest.calibration.model_dump() if manifest.task == "click" else None


def _field(
    schema: Schema, name: str, field: Field, vocabulary: FieldVocabulary, most: int
) -> dict[str, Any]:
    known: dict[str, Any] = {
        "name": name,
        "source": schema.sources[name],
        "kind": field.kind,
        "role": role(schema, field),
        "missing": field.missing,
    }
    if isinstance(field, MultivalueField):
        known["most"] = field.max_values
    elif field.part is not None:
        known["part"] = field.part
    match vocabulary:
        case Vocabulary(values=values):
            known |= {"values": values[:most], "left_out": max(0, len(values) - most)}
        case Scaler(low=low, high=high):
            known |= {"low": low, "high": high}
        case Bins(edges=edges):
            known |= {"edges": edges}
    return known


def role(schema: Schema, field: Field) -> str:
    """Whose a field is on the page: where no field is the candidates', each row is a candidate."""
    roles = {one.role for one in shown_fields(schema).values()}
    return field.role if "candidate" in roles else "candidate"


def example(schema: Schema, golden: Sequence[GoldenCase]) -> dict[str, Any]:
    """A context with its candidates, of the golden rows, each value in its one form."""
    rows = golden[0].request["instances"]
    shown = shown_fields(schema)
    plain = [_plain(schema, shown, row) for row in rows]
    of_candidates = {schema.sources[n] for n, f in shown.items() if role(schema, f) == "candidate"}
    context = {name: value for name, value in plain[0].items() if name not in of_candidates}
    candidates: list[dict[str, Value]] = []
    for row in plain:
        candidate = {name: value for name, value in row.items() if name in of_candidates}
        if candidate not in candidates:
            candidates.append(candidate)
    return {"context": context, "candidates": candidates[:MOST_CANDIDATES]}


def _plain(schema: Schema, shown: Mapping[str, Field], row: Row) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, field in shown.items():
        source = schema.sources[name]
        found[source] = _plain_value(field, row.get(source))
    return found


def _plain_value(field: Field, value: Any) -> Value:
    reading = field.reading
    if isinstance(field, MultivalueField):
        texts = [reading.text(member) for member in reading.members(value)][: field.max_values]
        return [text for text in texts if text is not None]
    if field.part is not None:
        return value  # type: ignore[no-any-return]  # a moment, as it was written
    return reading.number(value) if isinstance(field, NumericField) else reading.text(value)
