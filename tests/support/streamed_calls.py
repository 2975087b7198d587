"""Calls of `afm-train fit`, with and without --stream, and one that is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle.files import WEIGHTS
from training.cli import main
from training.state import checkpoint

CONFIG = """
calibration = "platt"
embedding = 4
attention_size = 4
[fit]
epochs = 3
batch = 64
l2_embedding = 1e-4
[attention]
epochs = 2
batch = 64
dropout = 0.2
"""
AT_ONCE = ("data.examples", "fit.step.logits", "evaluation.predicted")
SMALL = {"SHARD": 150, "MIXED": 3}  # so small that a short log has many of them


def arguments(home: Path, out: str, *more: object, net: str = "fm") -> list[str]:
    files = {"schema": "schema.toml", "config": "config.toml", "out": out}
    given = [word for key, name in files.items() for word in (f"--{key}", home / name)]
    return ["fit", *map(str, [home / "log.csv", *given, "--net", net, *more])]


def streamed(home: Path, out: str, *more: object, net: str = "fm") -> list[str]:
    return arguments(home, out, "--stream", *more, net=net)


def weights(home: Path, out: str) -> bytes:
    return (home / out / WEIGHTS).read_bytes()


class Killed(BaseException):
    pass


def killed_in(monkeypatch: pytest.MonkeyPatch, arguments: list[str], batch: int) -> None:
    """A fit that ends without a word in this batch of all its steps."""
    seen = [0]

    class Dying:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(*_: object) -> None:
                seen[0] += name == "batch"
                if seen[0] > batch:
                    raise Killed

            return call

    with monkeypatch.context() as patched:
        patched.setattr("training.tracking.tracked.watcher", Dying)
        patched.setattr(checkpoint, "MOST_TIME", 1e9)  # after each batch
        with pytest.raises(Killed):
            main(arguments)
