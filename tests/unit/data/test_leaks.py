"""Columns that hold the label, and columns that only look as if."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from training.data.leaks import leak, leaks

RNG = np.random.default_rng(1)
ROWS = 4000
CLICKS = (RNG.random(ROWS) < 0.2).astype(np.float32)


def only_clicks(value: Any, other: Any = None, share: Any = 1.0) -> Any:
    shown = (CLICKS == 1) & (RNG.random(ROWS) < share)
    return [value if one else other for one in shown]


LEAKS = {
    "copy": (CLICKS.astype(int).tolist(), "rank the label by themselves, AUC 1.0000"),
    "inverse": ((1 - CLICKS).tolist(), "rank the label"),
    "words": (["yes" if c else "no" for c in CLICKS], "rank the label by themselves, AUC 1.0000"),
    "dwell": ((CLICKS * 30 + RNG.random(ROWS)).tolist(), "its values rank the label by themselves"),
    "conversion": (only_clicks("buy", share=0.3), "filled only where the label is 1"),
    "click_time": (
        [f"{n}" if c else None for n, c in enumerate(CLICKS)],
        "its being missing ranks the label by itself, AUC 1.0000",
    ),
    "revenue": (only_clicks(3.5, 0.0, share=0.4), "other than '0.0' only where the label is 1"),
    "as written": (only_clicks("12", "0", share=0.4), "other than '0' only where the label is 1"),
    "no_reason": (
        ["bored" if not c else None for c in CLICKS],
        "its being missing ranks the label",
    ),
    "list": ([["a", "b"] if c else ["a"] for c in CLICKS], "rank the label"),
}

HONEST = {
    "noise": RNG.integers(0, 50, ROWS).tolist(),
    "row": [f"r{n}" for n in range(ROWS)],
    "row number": list(range(ROWS)),
    "strong": np.where(RNG.random(ROWS) < 0.85, CLICKS, 1 - CLICKS).tolist(),
    "rare": [1 if n % 400 == 0 else 0 for n in range(ROWS)],
    "a few filled": ["x" if n in set(np.flatnonzero(CLICKS)[:9]) else None for n in range(ROWS)],
    "never filled": [None] * ROWS,
    "squares beyond float64": [f"3e{n % 300:06}" for n in range(ROWS)],
    "never clicked by bots": [c == 0 and n % 3 == 0 for n, c in enumerate(CLICKS)],
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_holds_the_label_is_a_leak(name: str) -> None:
    cells, why = LEAKS[name]
    assert why in (leak(cells, CLICKS) or "")


@pytest.mark.parametrize("name", HONEST)
def test_a_column_that_helps_or_not_is_none(name: str) -> None:
    assert leak(HONEST[name], CLICKS) is None


def test_a_column_of_a_file_and_one_of_values_are_judged_alike() -> None:
    texts = pl.Series([str(v) for v in LEAKS["dwell"][0]])
    assert leak(texts, CLICKS) == leak(LEAKS["dwell"][0], CLICKS)
    assert leaks({"a": texts, "b": HONEST["noise"]}, CLICKS).keys() == {"a"}


def test_a_handful_of_clicks_accuses_no_column() -> None:
    few = np.zeros(ROWS, np.float32)
    few[:5] = 1
    assert leak(few.tolist(), few) is None
