"""A search by afm-train tune in a folder of a test, and the trials that it leaves."""

import json
from typing import Any

from training.cli import main

FAST = """
net = "fm"
embedding = 4
attention_size = 4
[fit]
epochs = 4
batch = 128
learning_rate = 0.001
[attention]
epochs = 1
batch = 128
"""


def arguments(home: Any, *more: Any, out: Any = "tuned") -> Any:
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml", "--out", home / out]
    return ["tune", *map(str, [home / "log.csv", *files, *more])]


def tune(home: Any, *more: Any, out: Any = "tuned") -> Any:
    return main(arguments(home, *more, out=out))


def trials(home: Any, out: Any = "tuned") -> Any:
    """The trials of a search, without the seconds that they took."""
    found = json.loads((home / out / "trials.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in found]
