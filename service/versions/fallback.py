"""Serves an earlier version while the active one cannot be served."""

import time
from collections.abc import Sequence
from contextlib import suppress

from service.errors import StoreError, StoreUnavailable
from service.store.active_notes import LIVE
from service.store.bundle_store import BundleStore
from service.versions.activation import Activation

FALL_BACK_SECONDS = 5.0  # from one look at what was live last to the next


class Fallback:
    """Makes an earlier version live, unless none of them could be served a moment ago."""

    def __init__(self, activation: Activation, bundles: BundleStore) -> None:
        self._activation = activation
        self._bundles = bundles
        self._next_look = 0.0

    def live_last(self) -> list[str]:
        """The versions that were live, latest first, as the notes beside the bundles have it."""
        notes = self._bundles.read_notes(self._activation.status.model)
        return [one.version for one in notes if one.outcome == LIVE]

    def serve_active_last(self) -> None:
        """Serve the first version that can be served of those that were active, latest first."""
        self.serve([one.version for one in self._bundles.read_notes(self._activation.status.model)])

    def serve(self, noted: Sequence[str]) -> None:
        """Serve the first version that can be served of `noted`, and then of those that were active
        before as Redis has them; versions that were refused are left out.
        """
        now, activation = time.monotonic(), self._activation
        if now < self._next_look:
            return
        self._next_look = now + FALL_BACK_SECONDS
        refused = activation.refusals.refused_ones()
        candidates = [*noted]
        with suppress(StoreError, StoreUnavailable):  # the folder of notes may have been emptied
            candidates += activation.store.previous()
        for version in dict.fromkeys(candidates):
            if version in refused or activation.refusals.bars(version):
                continue
            activation.serve_unconfirmed(version)
            if activation.status.live is not None:
                return

    def look_again(self) -> None:
        """Look at the next call, whenever the last look was: another model is followed."""
        self._next_look = 0.0
