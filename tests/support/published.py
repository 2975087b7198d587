"""A version that is published without a bundle: its record and its fields."""

from typing import Any

from service.store.records import Record

FIELDS = {"device": b'{"kind":"vocabulary","values":["ios"]}\n', "field with : in it": b"\x00\xff"}


def record(version: Any = "v1", **changed: Any) -> Any:
    facts = {
        "version": version,
        "net": "afm",
        "created": "2026-01-01T00:00:00+00:00",
        "published": "2026-01-02T00:00:00+00:00",
        "bundle": f"ads/{version}",
        "metrics": {"valid": {"auc": 0.75, "rows": 10}},
    }
    return Record(**{**facts, **changed})
