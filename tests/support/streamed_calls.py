"""Calls of `afm-train fit`, with and without --stream, and one that is killed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle.bundle import Bundle
from model.bundle.files import GOLDEN, SCHEMA, VALIDATION, WEIGHTS
from model.manifest import Manifest
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


def equal_but_for_the_order(home: Path) -> tuple[Manifest, Manifest]:
    """Fits in memory and with --stream, and holds one against the other: what does not depend on
    the order in which rows are fed is the same. Their manifests.
    """
    assert main(arguments(home, "memory")) == 0
    assert main(streamed(home, "stream")) == 0
    memory, stream = (Bundle.open(home / name) for name in ("memory", "stream"))
    assert stream.read_vocabularies() == memory.read_vocabularies()
    for name in (SCHEMA, VALIDATION):
        assert (home / "stream" / name).read_bytes() == (home / "memory" / name).read_bytes()
    requests = [
        [json.loads(line)["request"] for line in (home / name / GOLDEN).read_text().splitlines()]
        for name in ("memory", "stream")
    ]
    assert requests[0] == requests[1]
    one, other = memory.manifest, stream.manifest
    assert one.held_out == other.held_out
    assert one.dimensions == other.dimensions
    assert one.warnings == other.warnings
    assert one.training["config"] == other.training["config"]
    return one, other


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
