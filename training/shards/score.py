"""The rows of a shard scored by a bundle, and the scores of a whole log put together again.

A scorer runs its graphs on slices of a fixed number of rows. Shards hold whole slices, so each row
goes into a run with the same others as in a log that is scored as a whole, and its score has the
same bits.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.bundle.bundle import Bundle
from model.encoding import Encoder
from model.errors import BundleError
from model.scorer import Scorer
from training.data.files import Data
from training.data.log import encode
from training.data.read_log import read_log
from training.data.table import Given
from training.evaluation.coverage import added, counts
from training.evaluation.evaluate import Scored
from training.jobs import Doing
from training.shards.cut import Shard, shards

ROWS = 1 << 17  # of a shard, about: half a GB of memory with 39 fields


class Rater(NamedTuple):
    """A bundle's `path`, which each machine sees, and its `version`, which must be the same."""

    path: Path
    version: str

    def scored(self, table: Given) -> Scored:
        """The rows of a table, scored.

        Raises:
            BundleError, DataError: either cannot be used here.
        """
        bundle, encoder, scorer = _opened(self)
        encoded = encode(encoder, read_log(table, bundle.schema, labelled=False))
        return Scored(scorer.predict(encoded).predictions, counts(encoded, encoder))


@lru_cache(maxsize=1)
def _opened(rater: Rater) -> tuple[Bundle, Encoder, Scorer]:
    bundle = Bundle.open(rater.path)
    if bundle.version != rater.version:
        raise BundleError(f"{rater.path}: is another version on another machine")
    return bundle, bundle.read_encoder(), bundle.read_scorer()


def shard_rows(scorer: Scorer) -> int:
    """How many rows a shard has: a whole number of the scorer's slices, about ROWS."""
    return max(ROWS // scorer.slice_rows, 1) * scorer.slice_rows


def scored_in_shards(bundle: Path, data: Data, doing: Doing) -> Scored:
    """A log, scored; its files and the bundle are given by paths that each machine sees.

    Raises:
        BundleError, DataError: either cannot be used.
    """
    opened = Bundle.open(bundle)
    rater = Rater(bundle.absolute(), opened.version)
    cut = shards(data, list(opened.schema.sources.values()), shard_rows(opened.read_scorer()))
    found = dict(doing(_scored, rater, cut))
    parts = [found[number] for number in sorted(found)]
    return Scored(
        np.concatenate([part.predictions for part in parts]), added(part.counts for part in parts)
    )


def _scored(rater: Rater, shard: Shard) -> Scored:
    return rater.scored(shard.table())
