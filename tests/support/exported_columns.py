"""Columns as spreadsheets, databases and ad servers write them, by what a draft makes of them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np

ROWS = 3000
RNG = np.random.default_rng(23)
CLICKS = (RNG.random(ROWS) < 0.3).astype(int)
AMOUNTS = np.round(np.exp(RNG.normal(7, 2, ROWS)), 2)
START = datetime(2015, 1, 5, tzinfo=UTC)
TIMES = [START + timedelta(seconds=int(s)) for s in RNG.integers(0, 20 * 86_400, ROWS)]  # no order
ANY = np.arange(ROWS)


def written(form: str, marks: str = ",.") -> list[str]:
    """The amounts, with these two marks for the comma and the point."""
    table = str.maketrans(",.", marks)
    return [form.format(value).translate(table) for value in AMOUNTS]


def beside(*words: str, share: float = 0.1) -> list[str]:
    """The amounts, and words in a share of the rows."""
    some = RNG.random(ROWS) < share
    return [
        words[row % len(words)] if one else f"{AMOUNTS[row]:.2f}" for row, one in enumerate(some)
    ]


def ids(distinct: int, low: int, span: int) -> list[int]:
    """So many large numbers, which come again in no order."""
    names = low + RNG.integers(0, span, distinct)
    shares = 1 / np.arange(1, distinct + 1) ** 0.6
    found: list[int] = RNG.choice(names, ROWS, p=shares / shares.sum()).tolist()
    return found


def form(pattern: str) -> list[str]:
    """The times in a strptime form."""
    return [time.strftime(pattern) for time in TIMES]


def seconds(unit: int = 1) -> list[int]:
    """The times as Unix times, of a whole multiple of the unit."""
    return [int(time.timestamp()) // unit * unit for time in TIMES]


def shuffled_days() -> list[int]:
    """Unix seconds of office hours, of which many come twice."""
    found = 1_420_000_000 + RNG.integers(0, 5, ROWS) * 86_400 + RNG.integers(0, 9_000, ROWS)
    return [int(one) for one in found]


# the cells, thousands, decimal, and what stands for null
NUMBERS = {
    "spaced": (written("{:,.2f}", " ,"), " ", ",", ()),
    "no_break": (written("{:,.2f}", "\u00a0,"), " ", ",", ()),
    "narrow": (written("{:,.2f}", "\u202f."), " ", ".", ()),
    "thin_whole": (written("{:,.0f}", "\u2009."), " ", ".", ()),
    "swiss": (written("{:,.2f}", "'."), "'", ".", ()),
    "typeset": (written("{:,.2f}", "\u2019."), "'", ".", ()),
    "german_whole": (written("{:,.0f}", ".,"), ".", ",", ()),
    "three_decimals": (
        [f"{value:.3f}".replace(".", ",") for value in RNG.random(ROWS)],
        "",
        ",",
        (),
    ),
    "spaced_or_dot": (
        ["." if row % 9 == 0 else cell for row, cell in enumerate(written("{:,.2f}", " ,"))],
        *(" ", ",", (".",)),
    ),
    "sas": (beside("."), "", ".", (".",)),
    "lower_none": (beside("none", share=0.3), "", ".", ("none",)),
    "dashes": (beside("--"), "", ".", ("--",)),
    "excel": (beside("#NV", "#DIV/0!"), "", ".", ("#DIV/0!", "#NV")),
    "long_dash": (beside("—"), "", ".", ("—",)),
    "two_lines": (beside("not\nknown"), "", ".", ("not\nknown",)),
    "infinite": (beside("inf"), "", ".", ("inf",)),
    "two_words": (beside("missing", "refused", share=0.2), "", ".", ("missing", "refused")),
}
IDS = {
    "author": ids(400, 1_250_000_000_000_000_000, 130_000_000_000_000_000),
    "uid": ids(300, 2**60, 300),
    "created_by": ids(250, 1_420_000_000, 30_000_000),
    "timestamp_of_signup": ids(250, 1_420_000_000, 30_000_000),
    "milli": ids(300, 1_500_000_000_000, 3_000_000_000),
    "micro": ids(1500, 1_500_000_000_000_000, 30_000_000_000_000),
    "hex": [f"{n % 9 + 1}e{n:06x}" for n in ids(900, 0, 10_000)],
    "codes": [f"{'AB'[n % 2]}{n}" if n % 3 else str(n) for n in ids(200, 100, 900)],
    "floor": [str(n) if n < 12 else "none" for n in RNG.integers(1, 15, ROWS)],
    "customer_id": [5000 + row // 5 for row in range(ROWS)],
    "spaced_codes": [f"{n:,}".replace(",", " ") for n in 100_000 + RNG.integers(0, 700, ROWS)],
    "spaced_list": [" ".join(str(100 + n) for n in RNG.integers(0, 3, k % 4 + 1)) for k in ANY],
    "percent_off": [f"{n}%" for n in RNG.integers(1, 9, ROWS)],
}
SIGNED = {
    "rate": ([f"{value:.2f}%" for value in RNG.uniform(5, 29, ROWS)], "%"),
    "dollars": (written("${:,.2f}"), "$"),
    "reals": (written("R$ {:,.2f}", ".,"), "$"),
    "euros": (written("{:,.2f} €", "\u00a0,"), "€"),
    "crowns": (written("{:,.2f} kr", " ,"), "kr"),
}
MOMENTS = {
    "timestamp": ([one - 550_000_000 for one in seconds()], {"hour", "weekday"}),
    "ipinyou": ([f"{at}{row % 1000:03}" for row, at in enumerate(form("%Y%m%d%H%M%S"))], None),
    "tweet": (form("%a %b %d %H:%M:%S +0000 %Y"), {"hour", "weekday"}),
    "mail": ([format_datetime(time) for time in TIMES], {"hour", "weekday"}),
    "http": ([format_datetime(time, usegmt=True) for time in TIMES], {"hour", "weekday"}),
    "oracle": ([text.upper() for text in form("%d-%b-%y")], {"weekday"}),
    "sas_date": (form("%d%b%Y"), {"weekday"}),
    "clock": (form("%I:%M:%S %p"), {"hour"}),
    "request_time": (RNG.permutation(np.repeat(seconds()[: ROWS // 20], 20)), {"hour", "weekday"}),
    "shuffled": (seconds(), {"hour", "weekday"}),
    "shuffled_hours": (seconds(3600), {"hour", "weekday"}),
    "shuffled_minutes": (seconds(60), {"hour", "weekday"}),
    "shuffled_milli": ([1000 * one for one in seconds(7)], {"hour", "weekday"}),
    "code": (form("%Y%m%d%H"), {"hour", "weekday"}),
    "office": (shuffled_days(), {"hour"}),
    "busy": (
        np.sort(1_420_000_000 + 997 * RNG.integers(0, 900, ROWS)).tolist(),
        {"hour", "weekday"},
    ),
}
LEFT_OUT = {
    "rownames": (RNG.choice(ROWS * 5 // 4, ROWS, replace=False).tolist(), "a counter of the rows"),
    "person": (10_000 + RNG.choice(30_000, ROWS, replace=False), "a counter of the rows"),
    "display_id": ((7 + ANY // 4).tolist(), "name it by --group"),
    "request_uuid": ([f"{row // 3 * 7919 % 2**32:08x}" for row in range(ROWS)], "by --group"),
    "since_start": ((ANY // 5 * 86_513).tolist(), "name it by --group"),
    "taxes": ([f"{row}.25 %" for row in range(ROWS)], "numbers with a % sign: written without"),
}
# whole numbers without a repetition that are amounts
AMOUNTS_WITHOUT_TIES = {
    "wages": RNG.choice(np.arange(20_000, 900_000), ROWS, replace=False).tolist(),
    "skewed": RNG.permutation(np.cumsum(1 + ANY // 100)).tolist(),
    "balance": (500 + RNG.choice(2 * ROWS, ROWS, replace=False)).tolist(),
}
EXPORTED = {
    **{name: cells for name, (cells, *_) in NUMBERS.items()},
    **IDS,
    **{name: cells for name, (cells, _) in SIGNED.items()},
    **{name: cells for name, (cells, _) in MOMENTS.items()},
    **{name: cells for name, (cells, _) in LEFT_OUT.items()},
    **AMOUNTS_WITHOUT_TIES,
}
