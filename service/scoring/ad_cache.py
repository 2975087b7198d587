"""Ads that a version has met before, encoded: most candidates of an ad request were in another.

An ad's encoding, and its own part of the score (`Net.ad_partials`), are the same in every request.
They are kept by the candidate's raw JSON bytes, so that an ad met again is neither parsed nor
encoded. A cache belongs to one live version and goes with it: what it holds can never be stale.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.errors import InputError
from model.scorer import Floats, Scorer
from model.values.values import Row
from service.limits import CacheLimits

Read = Callable[[Sequence[int]], Sequence[Row]]

NOWHERE = -1
OVERHEAD_BYTES = 150  # of an entry: its key's object, its place in the dict and in the list


class CacheCounts(NamedTuple):
    """Ads that were found in a cache, that were not, and that made room for others."""

    hits: int
    misses: int
    evictions: int


class AdCache:
    """Encodings of ads, within `limits`.

    Second chance (a clock): an entry that was hit since the hand came by last is passed over once.
    Unlike the order of use it costs a hit nothing but one store for the whole request.
    """

    def __init__(self, encoder: Encoder, scorer: Scorer, limits: CacheLimits) -> None:
        self._hits = self._misses = self._evictions = 0
        self._encoder = encoder
        self._scorer = scorer
        width, partials = encoder.ads.width, scorer.partials_width
        self._entry_bytes = OVERHEAD_BYTES + width * (8 + 4) + partials * 4 + 4
        self._entries = entries = min(limits.entries, limits.bytes // self._entry_bytes)
        self._most_bytes = limits.bytes
        self._bytes = 0
        self._places: dict[bytes, int] = {}
        self._keys: list[bytes | None] = []  # by place
        self._free: list[int] = []  # places
        self._hand = 0
        self._some_ignored = False
        # memory that no entry has touched yet is not taken from the system
        self._ids = np.zeros((entries, width), dtype=np.int64)
        self._values = np.zeros((entries, width), dtype=np.float32)
        self._partials = np.zeros((entries, partials), dtype=np.float32)
        self._ignored = np.zeros(entries, dtype=np.int32)
        self._used = np.zeros(entries, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._places)

    def take_counts(self) -> CacheCounts:
        """What happened since they were taken last."""
        counts = CacheCounts(self._hits, self._misses, self._evictions)
        self._hits = self._misses = self._evictions = 0
        return counts

    def encode(self, raws: Sequence[bytes], read: Read) -> tuple[Encoded, Floats] | None:
        """Encode N ads, and their own parts of the score [N, D]; None where one of them has a field
        of the context. `read` parses those at the positions given.

        Raises:
            InputError: an ad that cannot be read or encoded; `row` is its position.
        """
        get = self._places.get
        found = [get(raw, NOWHERE) for raw in raws]
        new = [position for position, place in enumerate(found) if place == NOWHERE]
        self._hits += len(raws) - len(new)
        if not new:
            return self._kept(np.array(found))
        self._misses += len(new)
        encoded = self._encode(new, read)
        if encoded is None:
            return None
        partials = self._scorer.ad_partials(encoded)
        whole = encoded, partials
        if len(new) < len(raws):
            kept, kept_partials = self._kept(np.array(found))
            kept.ids[new], kept.values[new], kept_partials[new] = (
                encoded.ids,
                encoded.values,
                partials,
            )
            unknown = self._encoder.ads.unknown(kept.ids)
            ignored = max(kept.ignored, encoded.ignored)
            whole = Encoded(kept.ids, kept.values, unknown, ignored), kept_partials
        for number, position in enumerate(new):
            self._keep(raws[position], encoded, partials, number)
        return whole

    def _encode(self, positions: Sequence[int], read: Read) -> Encoded | None:
        try:
            return self._encoder.encode_ads(read(positions))
        except InputError as error:
            if error.row is not None:
                error.row = positions[error.row]
            raise

    def _kept(self, places: NDArray[np.int64]) -> tuple[Encoded, Floats]:
        # copies of the entries; a place that is NOWHERE gives the last one, to be written over
        self._used[places] = True
        ids = self._ids.take(places, 0, mode="wrap")
        values = self._values.take(places, 0, mode="wrap")
        partials = self._partials.take(places, 0, mode="wrap")
        ignored = 0
        if self._some_ignored:
            ignored = int(self._ignored[places].max(where=places != NOWHERE, initial=0))
        return Encoded(ids, values, self._encoder.ads.unknown(ids), ignored), partials

    def _keep(self, raw: bytes, encoded: Encoded, partials: Floats, number: int) -> None:
        size = self._entry_bytes + len(raw)
        if raw in self._places or size > self._most_bytes or not self._entries:
            return
        while len(self._places) >= self._entries or self._bytes + size > self._most_bytes:
            self._evict()
        if self._free:
            place = self._free.pop()
            self._keys[place] = raw
        else:
            place = len(self._keys)
            self._keys.append(raw)
        self._places[raw] = place
        self._bytes += size
        self._ids[place], self._values[place] = encoded.ids[number], encoded.values[number]
        self._partials[place], self._ignored[place] = partials[number], encoded.ignored
        self._some_ignored = self._some_ignored or encoded.ignored > 0
        self._used[place] = False

    def _evict(self) -> None:
        # the hand goes round until it stands on an entry that was not hit since it came by
        while True:
            self._hand = (self._hand + 1) % len(self._keys)
            key = self._keys[self._hand]
            if key is None:
                continue
            if not self._used[self._hand]:
                break
            self._used[self._hand] = False
        del self._places[key]
        self._keys[self._hand] = None
        self._free.append(self._hand)
        self._bytes -= self._entry_bytes + len(key)
        self._evictions += 1
