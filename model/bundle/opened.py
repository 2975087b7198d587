"""A bundle with what was read of it, for those who use it more than once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model.bundle.bundle import NONE_KNOWN, Bundle, Vocabularies
from model.encoding import Encoder
from model.scorer import Scorer
from model.vocabulary import FieldVocabulary


@dataclass(frozen=True)
class OpenedBundle:
    """A verified bundle, its vocabularies and, once they were asked for, its encoder and graphs.

    What is live in the service keeps only a `Bundle`: its vocabularies come from Redis, and would
    be in memory twice.
    """

    bundle: Bundle
    vocabularies: Mapping[str, FieldVocabulary]

    @classmethod
    def open(cls, directory: Path, known: Vocabularies = NONE_KNOWN) -> "OpenedBundle":
        """Open a bundle and verify every file of it; vocabularies that are `known` are not parsed.

        Raises:
            BundleError: what is wrong, and with which file.
        """
        return cls(*Bundle.open_with_vocabularies(directory, known))

    @cached_property
    def encoder(self) -> Encoder:
        """Encodes rows by the bundle's vocabularies."""
        return Encoder(self.bundle.schema, self.vocabularies)

    @cached_property
    def scorer(self) -> Scorer:
        """The graphs, ready to run."""
        return self.bundle.read_scorer()
