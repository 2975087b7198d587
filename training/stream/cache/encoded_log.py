"""A log as a fit needs it, in files of the user's cache directory: encoded rows, four bytes a slot,
to train on and held out, and raw rows that are held out or looked at.

ctr-afm/logs/KEY/about.json     how many rows, and the rule of those held out
                 vocabulary/    what each field learnt, as in a bundle
                 rows           int32 [N, F], see `Slots`
                 labels         float32 [N]
                 weights        float32 [N], where the log has weights
                 groups         int64 [G], the first row of each group, for task ranking
                 all_labels     labels before negatives were drawn, where they were
                 held_out_rows  rows held out, as `rows`
                 held_out/      the same as they were given, see `Pieces`
                 looked_at/     rows trained on that are looked at for leaks

KEY is a digest of the files and of what decides what is made of them. A folder of that name is
whole: it is written under another name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.bundle.files import vocabulary_file
from model.encoding import Encoder
from model.held_out import HeldOut
from model.schema import Schema
from model.vocabulary import FieldVocabulary, from_bytes
from training.data.examples import relative
from training.data.log import Log
from training.stream.cache.packed_rows import PackedRows
from training.stream.cache.pieces import read_pieces
from training.stream.cache.slots import Slots

ABOUT, ROWS, LABELS, WEIGHTS = "about.json", "rows", "labels", "weights"
ALL_LABELS, GROUPS = "all_labels", "groups"
HELD_OUT_ROWS, HELD_OUT, LOOKED_AT = "held_out_rows", "held_out", "looked_at"


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

    def all_labels(self) -> NDArray[np.float32]:
        """Those of the same rows before negatives were drawn."""
        path = self.folder / ALL_LABELS
        return np.fromfile(path if path.exists() else self.folder / LABELS, np.float32)

    def weights(self) -> NDArray[np.float32] | None:
        """Those of the rows trained on, as they were given, [N]; None where the log has none."""
        path = self.folder / WEIGHTS
        return np.fromfile(path, np.float32) if path.exists() else None

    def group_starts(self) -> NDArray[np.int64] | None:
        """The first row of each group of those trained on, [G], for task ranking."""
        path = self.folder / GROUPS
        return np.fromfile(path, np.int64) if path.exists() else None

    def held_out(self) -> Log:
        """The rows held out, see `read_pieces`."""
        return read_pieces(self.folder / HELD_OUT, self.schema, self.source)

    def held_out_rows(self, log: Log) -> PackedRows:
        """The encoded rows held out, with the labels, weights and groups of `log`, which are
        theirs.
        """
        weights = torch.from_numpy(relative(log.weights, len(log)))
        path, key = self.folder / HELD_OUT_ROWS, f"{self.key} {HELD_OUT}"
        groups = None
        if self.schema.task == "ranking" and log.group is not None:
            groups = torch.from_numpy(log.group)
        return PackedRows(path, self.slots, torch.from_numpy(log.labels), weights, key, groups)

    def looked_at(self) -> Log:
        """The rows trained on that are looked at for leaks."""
        return read_pieces(self.folder / LOOKED_AT, self.schema, self.source)

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / ABOUT).read_bytes())
        return found
