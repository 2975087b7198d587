"""What a field learnt of its numbers: a scale, or bins.

>>> bins = Bins.fit(np.array([1.0, 2.0, 3.0, 4.0]), 2)
>>> bins.edges, bins.locate_one(3.5) - FIRST
((3.0,), 1)
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from model.values.ids import FIRST

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """A number as a factor of its field's one embedding: x = (f(v) - shift) / scale.

    v is first moved into [low, high], the range seen in training: a number outside it is scored as
    the nearest one seen, not extrapolated. f is sign(v) log(1 + |v|) where `log` is set, else v.
    """

    kind: ClassVar[str] = "scaler"
    low: float
    high: float
    shift: float = 0.0
    scale: float = 1.0
    log: bool = False

    @property
    def size(self) -> int:
        """Rows of the embedding table: one carries the number."""
        return FIRST + 1

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], transform: str) -> "Scaler":
        """Learn range and scale. `transform`: standardise (mean 0, deviation 1), log1p (root mean
        square 1, zero stays zero) or none.
        """
        if not len(numbers):
            return cls(0.0, 0.0, log=transform == "log1p")
        low, high = float(numbers.min()), float(numbers.max())
        if transform == "none":
            return cls(low, high)
        if transform == "log1p":
            logs = _log1p(numbers)
            return cls(low, high, 0.0, float(np.sqrt((logs**2).mean())) or 1.0, log=True)
        return cls(low, high, float(numbers.mean()), float(numbers.std()) or 1.0)

    def transform(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw numbers to x."""
        clipped = np.clip(numbers, self.low, self.high)
        return ((_log1p(clipped) if self.log else clipped) - self.shift) / self.scale

    def transform_one(self, number: float) -> float:
        """What `transform` gives a finite number, without the overhead of an array."""
        clipped = min(max(number, self.low), self.high)
        if self.log:  # numpy's logarithm, since the C library's may differ in the last bit
            clipped = float(_log1p(np.float64(clipped)))  # type: ignore[arg-type]  # 0-d does
        return (clipped - self.shift) / self.scale

    def checked(self) -> "Scaler":
        """Itself, where its numbers are a scale.

        Raises:
            ValueError: not finite, a scale that is not positive, or an empty range.
        """
        if not all(map(math.isfinite, (self.low, self.high, self.shift, self.scale))):
            raise ValueError("a number that is not finite")
        if self.scale <= 0 or self.low > self.high:
            raise ValueError("a scale that is not positive, or an empty range")
        return self


@dataclass(frozen=True)
class Bins:
    """A number made categorical: id FIRST + how many of the ascending `edges` are <= it."""

    kind: ClassVar[str] = "bins"
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Rows of the embedding table."""
        return FIRST + len(self.edges) + 1

    @classmethod
    def fit(cls, numbers: NDArray[np.float64], bins: int) -> "Bins":
        """A number that more than 1/`bins` of all are has a bin of its own; those between two of
        them are cut at their quantiles, into a share of the bins that are left.

        There is no bin without a number, whose row nothing would train: few distinct numbers give
        few bins. Numbers on both sides of a frequent one may take a bin more than `bins`.
        """
        values, counts = np.unique(numbers, return_counts=True)
        frequent = counts * bins > len(numbers)
        left = bins - int(frequent.sum())
        share = left / max(int(counts[~frequent].sum()), 1)
        # a run: one frequent number, or those between two of them
        starts = np.flatnonzero(frequent | np.roll(frequent, 1))
        edges: list[float] = []
        for run in np.split(np.arange(len(values)), starts):
            if not len(run):
                continue
            edges += _first_edge(values, frequent, int(run[0]))
            parts = max(1, round(share * int(counts[run].sum())))
            edges += _quantiles(np.repeat(values[run], counts[run]), parts)
        return cls(tuple(edges))

    def locate(self, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
        """Raw numbers to ids."""
        return FIRST + np.searchsorted(np.asarray(self.edges), numbers, side="right")

    def locate_one(self, number: float) -> int:
        """What `locate` gives a number, without the overhead of an array."""
        return FIRST + bisect_right(self.edges, number)

    def checked(self) -> "Bins":
        """Itself, where its edges are finite and ascend.

        Raises:
            ValueError: they do not.
        """
        if not all(map(math.isfinite, self.edges)) or sorted(set(self.edges)) != list(self.edges):
            raise ValueError("edges that do not ascend")
        return self


def _first_edge(values: Floats, frequent: NDArray[np.bool_], run: int) -> list[float]:
    # where the run that begins with the value numbered `run` begins: none at the very beginning, as
    # nothing is below it. Behind a frequent number at once, so that its bin holds nothing else.
    if run == 0:
        return []
    behind = frequent[run - 1] and not frequent[run]
    return [float(np.nextafter(values[run - 1], np.inf) if behind else values[run])]


def _quantiles(numbers: Floats, parts: int) -> list[float]:
    # the inner edges of about equal parts, none of them empty
    inner = np.quantile(numbers, np.arange(1, parts) / parts, method="higher")
    return [float(edge) for edge in np.unique(inner) if edge > numbers.min()]


def _log1p(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(numbers) * np.log1p(np.abs(numbers))
