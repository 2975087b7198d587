"""A log as a fit needs it, in files of the user's cache directory: encoded rows to train on, four
bytes a slot, and raw rows that are held out or looked at.

ctr-afm/logs/KEY/about.json     how many rows, and the rule of those held out
                 vocabulary/    what each field learnt, as in a bundle
                 rows           int32 [N, F], see `Slots`
                 labels         float32 [N]
                 weights        float32 [N], where the log has weights
                 held_out/      rows held out, see `Pieces`
                 looked_at/     rows trained on that are looked at for leaks

KEY is a digest of the files and of what decides what is made of them. A folder of that name is
whole: it is written under another name.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.bundle.files import vocabulary_file
from model.encoding import Encoder
from model.held_out import HeldOut
from model.schema import Schema
from model.vocabulary import FieldVocabulary, from_bytes
from training.data.log import Log
from training.stream.pieces import read_pieces
from training.stream.slots import Slots

ABOUT, ROWS, LABELS, WEIGHTS = "about.json", "rows", "labels", "weights"
HELD_OUT, LOOKED_AT = "held_out", "looked_at"


def cache_home() -> Path:
    """Where encoded logs are.

    Raises:
        RuntimeError: the user has no home.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "ctr-afm" / "logs"


@dataclass(frozen=True)
class EncodedLog:
    """A log in a folder. `source` names it in errors."""

    folder: Path
    schema: Schema
    source: str

    @property
    def key(self) -> str:
        """A digest of the log and of what decides what is made of it."""
        return self.folder.name

    def __len__(self) -> int:
        return int(self._about["rows"])

    @property
    def rule(self) -> HeldOut | None:
        """By which rows are held out; None where none are."""
        found = self._about["held_out"]
        return None if found is None else HeldOut.model_validate(found)

    @cached_property
    def vocabularies(self) -> Mapping[str, FieldVocabulary]:
        """What each field learnt of the rows trained on."""
        return {
            name: from_bytes((self.folder / vocabulary_file(name)).read_bytes(), name)
            for name in self.schema.fields
        }

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the rows."""
        return Encoder(self.schema, self.vocabularies)

    @cached_property
    def slots(self) -> Slots:
        """How the rows are packed."""
        return Slots.of(self.encoder, self.vocabularies)

    @property
    def rows(self) -> Path:
        """The file of the encoded rows."""
        return self.folder / ROWS

    def labels(self) -> Tensor:
        """Those of the rows trained on, float32 [N]."""
        return torch.from_numpy(np.fromfile(self.folder / LABELS, np.float32))

    def weights(self) -> Tensor:
        """Those of the rows trained on, of mean 1, float32 [N]."""
        path = self.folder / WEIGHTS
        if not path.exists():
            return torch.ones(1).expand(len(self))
        given = np.fromfile(path, np.float32)
        return torch.from_numpy(given / given.mean())

    def held_out(self) -> Log:
        """The rows held out."""
        return read_pieces(self.folder / HELD_OUT, self.schema, self.source)

    def looked_at(self) -> Log:
        """The rows trained on that are looked at for leaks."""
        return read_pieces(self.folder / LOOKED_AT, self.schema, self.source)

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / ABOUT).read_bytes())
        return found
