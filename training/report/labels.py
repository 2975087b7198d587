"""How figures and settings are named on pages.

>>> flat({"net": "afm", "fit": {"epochs": 3}})
[('net', 'afm'), ('fit.epochs', '3')]
"""

from collections.abc import Mapping
from typing import Any

LABELS = {
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "gauc": "GAUC",
    "ndcg@10": "NDCG@10",
    "ndcg": "NDCG",
    "logloss": "logloss",
    "normalised_entropy": "normalised entropy",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "brier": "Brier",
    "calibration_ratio": "calibration ratio",
    "ece": "ECE",
}


HEADLINE = {
    "click": ("auc", "logloss", "rmse"),
    "regression": ("rmse", "mae", "r2"),
    "ranking": ("gauc", "ndcg@10", "ndcg"),
}


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text)."""
    found: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", str(value)))
    return found
