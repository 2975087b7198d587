"""What a fit asks of the rows of a log, and what does not go with --stream.

>>> Asked(0.1).key() != Asked(0.1, rate=0.5).key()
True
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.errors import ConfigError
from model.vocabulary import FieldVocabulary


@dataclass(frozen=True)
class Asked:
    """`share`: of the rows that are held out, None for none. `rate`: of the negatives trained on,
    drawn by `seed`. `known`: what the fields know before, by the bundle of this `version`.
    """

    share: float | None
    rate: float = 1.0
    seed: int = 1
    known: Mapping[str, FieldVocabulary] = field(default_factory=dict)
    version: str = ""

    def key(self) -> list[Any]:
        """What tells it from others."""
        drawn = [] if self.rate == 1 else [self.rate, self.seed]
        return [self.share, *drawn, *([self.version] if self.version else [])]


def check_stream(stream: bool, readers: int | None, others: Mapping[str, object]) -> None:
    """Refuse what does not go with --stream, of `others` by their names, or without it.

    Raises:
        ConfigError: it is given.
    """
    if readers is not None and not stream:
        raise ConfigError("--readers: goes with --stream")
    for option, given in others.items():
        if stream and given is not None:
            raise ConfigError(f"--stream: not with {option}")
