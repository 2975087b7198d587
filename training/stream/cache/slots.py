"""Encoded rows in four bytes a slot: the id, or of a scaled number the number, NaN where it is
missing. What the encoder makes of a row is given back to the bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.schema import NumericField
from model.values.ids import ABSENT, FIRST, MISSING
from model.values.scales import Scaler
from model.vocabulary import FieldVocabulary

Packed = NDArray[np.int32]


@dataclass(frozen=True)
class Slots:
    """How the F slots of a schema are packed. `absent`: int64 [F], the id of each slot that has no
    value. `scaled`: the slots with a scaled number; of each `number_ids`, int64, its id; and
    `missing_ids` and `missing_values` of one that is missing.
    """

    absent: NDArray[np.int64]
    scaled: NDArray[np.int64]
    number_ids: NDArray[np.int64]
    missing_ids: NDArray[np.int64]
    missing_values: NDArray[np.float32]

    @classmethod
    def of(cls, encoder: Encoder, vocabularies: Mapping[str, FieldVocabulary]) -> "Slots":
        """Those of an encoder with these vocabularies."""
        offsets, slots = encoder.offsets, encoder.schema.slots
        scaled = [at for at, name in enumerate(slots) if isinstance(vocabularies[name], Scaler)]
        fields = [encoder.schema.fields[slots[at]] for at in scaled]
        token = np.array([isinstance(f, NumericField) and f.missing == "token" for f in fields])
        at = np.array(scaled, np.int64)
        missing = offsets[at] + np.where(token, MISSING, ABSENT)
        return cls(offsets + ABSENT, at, offsets[at] + FIRST, missing, token.astype(np.float32))

    def pack(self, encoded: Encoded) -> Packed:
        """Encoded rows, int32 [B, F]."""
        packed = encoded.ids.astype(np.int32)
        if len(self.scaled):
            there = encoded.ids[:, self.scaled] == self.number_ids
            numbers = np.where(there, encoded.values[:, self.scaled], np.float32(np.nan))
            packed[:, self.scaled] = numbers.view(np.int32)
        return packed

    def unpack(self, packed: Packed) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ids and values of packed rows, each [B, F]."""
        ids = packed.astype(np.int64)
        values = (ids != self.absent).astype(np.float32)
        if len(self.scaled):
            numbers = packed[:, self.scaled].view(np.float32)
            missing = np.isnan(numbers)
            ids[:, self.scaled] = np.where(missing, self.missing_ids, self.number_ids)
            values[:, self.scaled] = np.where(missing, self.missing_values, numbers)
        return ids, values
