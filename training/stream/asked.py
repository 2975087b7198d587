"""What a fit asks of the rows of a log.

>>> Asked(0.1).key() != Asked(0.1, rate=0.5).key()
True
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
