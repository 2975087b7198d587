"""The numbers of a field on disk, and what it learns of them: exactly up to MOST_EXACT of them,
else of every n-th one.

A share of so many numbers differs from that of all by less than .0004 with a probability of 99 %,
where their order is by chance (Dvoretzky, Kiefer & Wolfowitz, 1956, Massart's constant); the least
and the largest number are always exact.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.schema import NumericField
from model.values.scales import Scaler
from model.vocabulary import FieldVocabulary, fit_numbers

MOST_EXACT = 1 << 24

Floats = NDArray[np.float64]


class Numbers:
    """The numbers of one field, without nulls, in the order of the rows; `path`: their file."""

    def __init__(self, described: NumericField, path: Path) -> None:
        self._described = described
        self._path = path
        self._count = 0
        self._low, self._high = np.inf, -np.inf

    def add(self, numbers: Floats) -> None:
        """Put more of them behind the others.

        Raises:
            OSError: they cannot be written.
        """
        if not len(numbers):
            return
        with self._path.open("ab") as file:
            file.write(np.ascontiguousarray(numbers, np.float64).data)
        self._count += len(numbers)
        self._low = min(self._low, float(numbers.min()))
        self._high = max(self._high, float(numbers.max()))

    def learnt(self) -> FieldVocabulary:
        """A scale or bins.

        Raises:
            OSError: the file cannot be read.
        """
        if not self._count:
            return fit_numbers(self._described, np.empty(0))
        step = -(-self._count // MOST_EXACT)
        found = fit_numbers(self._described, self._every(step))
        if step > 1 and isinstance(found, Scaler):
            return replace(found, low=self._low, high=self._high)
        return found

    def _every(self, step: int) -> Floats:
        if step == 1:
            return np.fromfile(self._path, np.float64)
        size = step * (1 << 16)
        return np.concatenate(
            [
                np.fromfile(self._path, np.float64, size, offset=8 * start)[::step]
                for start in range(0, self._count, size)
            ]
        )
