"""Sixty columns and more of a click log, drawn here, by the kind that each of them has."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np

ROWS = 6000
RNG = np.random.default_rng(11)
CLICKS = (RNG.random(ROWS) < 0.2).astype(int)
START = datetime(2026, 11, 1, tzinfo=UTC)
SECONDS = np.sort(RNG.integers(0, 20 * 86_400, ROWS))
TIMES = [START + timedelta(seconds=int(s)) for s in SECONDS]


def ids(distinct: int, low: int = 0, high: int = 30_000, alpha: float = 0.6) -> list[int]:
    """Ids of uneven shares, whose numbers mean nothing."""
    names = RNG.choice(np.arange(low, high), distinct, replace=False)
    shares = 1 / np.arange(1, distinct + 1) ** alpha
    found: list[int] = RNG.choice(names, ROWS, p=shares / shares.sum()).tolist()
    return found


def signed(names: list[int]) -> list[int]:
    """The same ids, but each with a click rate of its own: those of the clicks are drawn anew."""
    kinds = np.array(sorted(set(names)))
    tilt = np.exp(1.2 * RNG.normal(size=len(kinds)))
    counts = np.array([names.count(kind) for kind in kinds]) * tilt
    drawn = RNG.choice(kinds, ROWS, p=counts / counts.sum())
    found: list[int] = np.where(CLICKS == 1, drawn, names).tolist()
    return found


def form(pattern: str) -> list[str]:
    return [time.strftime(pattern) for time in TIMES]


def some(*values: object) -> list[object]:
    return [values[i] for i in RNG.integers(0, len(values), ROWS)]


def mixed(cells: list[object], other: object, share: float) -> list[object]:
    return [other if RNG.random() < share else cell for cell in cells]


def lists() -> list[list[str]]:
    names = ["art", "books", "cars", "food", "golf", "music"]
    return [RNG.choice(names, RNG.integers(0, 5), replace=False).tolist() for _ in range(ROWS)]


NORMAL = RNG.normal(50, 12, ROWS)
GEOMETRIC = RNG.geometric(0.02, ROWS)
EXPONENTIAL = np.round(RNG.exponential(80_000, ROWS)).astype(int)
AGES = np.clip(RNG.normal(40, 12, ROWS).round(), 18, 90).astype(int)
UPWARD = (GEOMETRIC + 60 * CLICKS).tolist()  # an amount that the label follows

CATEGORICAL = {
    "campaign": ids(300),
    "placement": ids(120),
    "channel": ids(45, 1, 400),
    "C14": signed(ids(300, 10_000, 25_000)),
    "C17": signed(ids(150, 1000, 3000)),
    "C21": ids(60, 1, 256),
    "adgroup": ids(200, 1_000_000, 9_000_000),
    "user": ids(3000, 0, 90_000),
    "query_id": ids(2500, 0, 24_000),
    "big": [10**18 + n for n in ids(400)],
    "hour": RNG.integers(0, 24, ROWS).tolist(),
    "dayofweek": RNG.integers(1, 8, ROWS).tolist(),
    "banner_pos": some(0, 1, 2, 7),
    "zip": [f"{n:05}" for n in ids(300)],
    "device": some("ios", "android", "web"),
    "country": some("DE", "FR", "US", "NA", "IT", "ES", "PL", "SE", "NO", "DK", "GB", "NL"),
    "truth": some("TRUE", "FALSE"),
    "optin": some("yes", "no"),
    "letter": some("t", "f"),
    "hash": [f"{n * 7919 % 2**32:08x}" for n in ids(500)],
    "place": [f"town {n}, region {n}" for n in ids(40)],
    "time_of_visit": some("2PM", "10AM", "6PM"),
    "range": some("18-25", "26-35", "36-50", "50+"),
    "money_words": some("$10 - $20", "$20 - $50"),
}
VERSIONS = {
    "os_version": some("9.1", "9.10", "10.2", "11.0"),
    "app": some("1.2.3", "1.10.0", "2.0.1"),
    "sdk": some("9.1", "9.10", "9.2", "10.0", "8.4"),
    "release": some("4.4", "5.0", "6.1"),
}
NUMERIC = {
    "price": np.round(RNG.gamma(2, 20, ROWS), 2).tolist(),
    "age": AGES.tolist(),
    "score": RNG.random(ROWS).tolist(),
    "neutral_normal": np.round(NORMAL * 10).astype(int).tolist(),
    "neutral_count": GEOMETRIC.tolist(),
    "neutral_upward": UPWARD,
    "balance": (EXPONENTIAL - 9000).tolist(),
    "zero_mostly": mixed(GEOMETRIC.tolist(), 0, 0.9),
    "grouped": [f"{n:,}" for n in EXPONENTIAL],
    "grouped_cents": [f"{n:,.2f}" for n in EXPONENTIAL],
    "comma": [f"{n:.2f}".replace(".", ",") for n in NORMAL],
    "comma_grouped": [f"{n:,.2f}".translate(str.maketrans(",.", ".,")) for n in EXPONENTIAL],
    "with_na": mixed([f"{n:.1f}" for n in NORMAL], "NA", 0.04),
    "with_null": mixed([f"{n:.1f}" for n in NORMAL], "NULL", 0.3),
    "with_sql_null": mixed([str(n) for n in EXPONENTIAL], "\\N", 0.2),
    "with_unlisted": mixed([f"{n:.1f}" for n in NORMAL], "not measured", 0.03),
    "with_999": mixed([f"{abs(n):.1f}" for n in NORMAL], "-999", 0.1),
    "with_blank": mixed([f"{n:.1f}" for n in NORMAL], None, 0.3),
    "exponent": [f"{n:.3e}" for n in NORMAL],
}
MOMENTS = {
    "unix": [int(t.timestamp()) for t in TIMES],
    "unix_ms": [int(t.timestamp() * 1000) + 7 for t in TIMES],
    "code": form("%y%m%d%H"),
    "slashed": form("%d/%m/%Y %H:%M"),
    "american": form("%m/%d/%Y %H:%M"),
    "iso": form("%Y-%m-%d %H:%M:%S"),
    "zoned": form("%Y-%m-%dT%H:%M:%S+02:00"),
    "dotted": form("%d.%m.%Y"),
    "compact": form("%Y%m%d"),
    "date": form("%Y-%m-%d"),
}
MULTIVALUE = {
    "json": [json.dumps(cell) for cell in lists()],
    "python": [str(cell) for cell in lists()],
    "braces": ["{" + ",".join(cell) + "}" for cell in lists()],
    "bars": ["|".join(cell) for cell in lists()],
}
LEFT_OUT = {
    "row": (list(range(ROWS)), "a counter of the rows"),
    "entry": ([7_000_000 + 3 * n for n in range(ROWS)], "a counter of the rows"),
    "shuffled": (RNG.permutation(ROWS).tolist(), "a counter of the rows"),
    "request": ([f"r{n}" for n in range(ROWS)], "nearly every row has a value of its own"),
    "channel_copy": (CATEGORICAL["channel"], 'the same in every row as "channel"'),
    "score_copy": (NUMERIC["score"], 'the same in every row as "score"'),
    "constant": (["x"] * ROWS, "the same in every row"),
    "clicked": (
        np.where(CLICKS == 1, "y", "n").tolist(),
        "LEAK: its values rank the label by themselves",
    ),
    "dwell": (
        (CLICKS * 60 + RNG.random(ROWS)).tolist(),
        "LEAK: its values rank the label by themselves",
    ),
    "click_url": (
        [f"/{n}" if c else None for n, c in enumerate(CLICKS)],
        "LEAK: its being missing ranks the label by itself",
    ),
    "order": (
        ["shop" if c and n % 3 else None for n, c in enumerate(CLICKS)],
        "LEAK: it is filled only where the label is 1",
    ),
    "revenue": (
        [5 if c and n % 3 else 0 for n, c in enumerate(CLICKS)],
        "LEAK: it is other than '0' only where the label is 1",
    ),
}
DRAWN = {
    **CATEGORICAL,
    **VERSIONS,
    **NUMERIC,
    **MOMENTS,
    **MULTIVALUE,
    **{name: cells for name, (cells, _) in LEFT_OUT.items()},
}
