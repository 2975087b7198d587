"""A small ad log, in which iOS users click on three of the twelve ads."""

from typing import Any

import numpy as np

TINY_SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.hour]
kind = "categorical"
missing = "absent"
[fields.interests]
kind = "multivalue"
max_values = 3
[fields.ad]
kind = "categorical"
role = "candidate"
[fields.price]
kind = "numeric"
role = "candidate"
transform = "log1p"
"""
TINY_SLOTS = [0, 1, 2, 2, 2, 3, 4]  # the field of each of its F = 7 slots
TINY_ADS = [False, False, False, False, False, True, True]  # which of them the ads give


def tiny_rows(rows: int = 600, seed: int = 0) -> list[dict[str, Any]]:
    """Rows as JSON would hold them, with nulls and lists; `click` stands beside the fields."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rows):
        device = str(rng.choice(["ios", "android", "web"]))
        ad = f"a{rng.integers(12)}"
        chance = 0.7 if (device == "ios") == (ad in ("a1", "a2", "a3")) else 0.2
        interests = rng.choice(["cars", "food", "news", "golf"], rng.integers(0, 4), replace=False)
        drawn.append(
            {
                "device": device,
                "hour": int(rng.integers(24)) if rng.random() > 0.1 else None,
                "interests": interests.tolist() or None,
                "ad": ad,
                "price": round(float(rng.gamma(2, 3)), 2) if rng.random() > 0.1 else None,
                "click": int(rng.random() < chance),
            }
        )
    return drawn


def unlabelled_rows(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """The same rows as a caller of the service has them."""
    return [{name: row[name] for name in row if name != "click"} for row in tiny_rows(rows, seed)]
