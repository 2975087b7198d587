"""What a field learnt of its numbers: a scale, or bins.

>>> bins = Bins.fit(np.array([1.0, 2.0, 3.0, 4.0]), 2)
>>> bins.edges, bins.locate_one(3.5) - FIRST
((2.5,), 1)
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from model.values.ids import FIRST

Floats = NDArray[np.float64]
CLOSE = 2.0**-20  # of a frequent number, how near an edge is; a float32 is within 2**-24 of it


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
        few bins. Numbers on both sides of a frequent one may take a bin more than `bins`. An edge
        lies between two numbers and not on one, so that a number which a float32, or a sum, has
        changed in its last digits stays in its bin.
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
            if run[0]:  # nothing is below the first
                first = slice(run[0] - 1, run[0] + 1)
                edges.append(_edge(*values[first].tolist(), *frequent[first].tolist()))
            parts = max(1, round(share * int(counts[run].sum())))
            edges += _quantiles(values[run], counts[run], parts)
        return cls(tuple(edges))

    def examples(self) -> list[float]:
        """A number of each bin, with few digits."""
        if not self.edges:
            return [0.0]
        first, last = self.edges[0], self.edges[-1]
        widths = np.diff(self.edges) if len(self.edges) > 1 else [abs(first) or 1.0]
        below = beside(first)
        if below is None or below >= first:
            below = first - float(widths[0])
        inner = [_within(*one) for one in pairwise(self.edges)]
        return [below, *inner, last + float(widths[-1])]

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


def beside(edge: float) -> float | None:
    """The frequent number that an edge is right beside; None where it is between two others."""
    for side in (1 + CLOSE, 1 - CLOSE):
        number = float(f"{edge / side:.12g}")
        if number not in (0.0, edge) and number * side == edge:
            return number
    below = float(np.nextafter(edge, -np.inf))  # of 0, and in bundles of earlier versions
    return below if len(repr(below)) < len(repr(edge)) else None


def _edge(low: float, high: float, is_low_frequent: bool, is_high_frequent: bool) -> float:
    # between two neighbours: right beside a frequent one, so that its bin holds nothing else
    if is_low_frequent == is_high_frequent:
        return _simple(low, high)
    middle = low / 2 + high / 2
    if is_low_frequent:
        above = low + abs(low) * CLOSE or float(np.nextafter(0.0, 1.0))
        return above if above < middle else _simple(low, high)
    below = high - abs(high) * CLOSE
    return below if below > middle else _simple(low, high)


def _within(low: float, high: float) -> float:
    # from `low` to below `high`
    number = _simple(low, high)
    return number if number < high else low


def _simple(low: float, high: float) -> float:
    # above `low` and up to `high`, near their middle, with as few digits as there are
    middle, room = low / 2 + high / 2, high / 4 - low / 4
    for digits in range(1, 18):
        number = float(f"{middle:.{digits}g}")
        if abs(number - middle) <= room and low < number:
            return number
    return high


def _quantiles(values: Floats, counts: NDArray[np.int64], parts: int) -> list[float]:
    # the inner edges of about equal parts of ascending values, none of them empty
    shares = np.arange(1, parts) / parts
    inner = np.quantile(np.repeat(values, counts), shares, method="higher")
    first = np.unique(np.searchsorted(values, inner))
    return [_simple(float(values[one - 1]), float(values[one])) for one in first if one]


def _log1p(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(numbers) * np.log1p(np.abs(numbers))
