"""A fit by afm-train that ends without a word."""

from collections.abc import Sequence
from typing import Any

import pytest

from training.cli import main


class Killed(BaseException):
    """What nothing catches."""


def killed_after(arguments: Sequence[str], epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit by these arguments, and end in the first batch after so many epochs."""
    seen: list[str] = []

    class Dying:
        def __getattr__(self, name: str) -> Any:
            def call(*_: Any) -> None:
                if name == "batch" and len(seen) == epochs:
                    raise Killed
                if name == "epoch":
                    seen.append(name)

            return call

    with monkeypatch.context() as patched:
        patched.setattr("training.tracking.tracked.watcher", Dying)
        with pytest.raises(Killed):
            main(list(arguments))
