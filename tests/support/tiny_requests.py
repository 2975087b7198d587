"""Requests of the tiny schema: rows, and a context with its candidates."""

from typing import Any

ROWS: list[dict[str, Any]] = [
    {"device": "ios", "hour": 21, "interests": ["cars", "golf"], "ad": "a1", "price": 3.5},
    {"device": "web", "hour": None, "ad": "a7"},
    {"ad": "never seen", "price": 0, "interests": "food|news"},
]

CONTEXT: dict[str, Any] = {"device": "ios", "hour": 21}

CANDIDATES: list[dict[str, Any]] = [
    {"ad": "a1", "price": 3.5},
    {"ad": "a2"},
    {"ad": "a3", "device": "web"},
]
