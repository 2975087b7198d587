"""Whether a version may go live, by what requests say: this worker's recent ones, other workers'
and those of an earlier time.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from service.errors import ShadowError, StoreError
from service.scoring.live_version import Live
from service.store.records import SkipShadow
from service.store.version_store import VersionStore
from service.versions.refusals import RefusalTracker
from service.versions.shadow import CODES, Shadow

log = structlog.get_logger()


class Judgement:
    """Judges the versions of one model on the requests that `shadow` keeps."""

    def __init__(self, store: VersionStore, refusals: RefusalTracker, shadow: Shadow) -> None:
        self._store = store
        self._refusals = refusals
        self._shadow = shadow

    def unjudged(self, version: str) -> SkipShadow | None:
        """Who wants a version live whatever recent requests say of it, if any user does."""
        said = self._store.unjudged()
        return said if said is not None and said.version == version else None

    def check_earlier(self, version: str, *, ask_others: bool) -> None:
        """Look at what was found of a version before and, with `ask_others`, at what the workers
        that are connected find on their requests.

        Raises:
            ShadowError: recent requests refused it, and no user forced it since.
        """
        found = self._refusals.found_before(version)
        if found is not None and self.unjudged(version) is None:
            raise ShadowError(found.reason, found.code)
        if not ask_others:
            return
        with suppress(StoreError):  # without the right to ask
            for one in self._refusals.refusals_of_workers():
                if one.version == version and one.code in CODES:
                    raise ShadowError(one.reason, one.code)

    def judge(
        self, live: Live, new: Live, pause: Callable[[float], Any], *, never_live: bool
    ) -> dict[str, float] | None:
        """Compare a version with the live one on recent requests, as `Shadow.judge` does; returns
        what was seen, or None where a user wants the version live without a judgement.

        Raises:
            ShadowError: the new version differs by more than the limits.
        """
        unjudged = self.unjudged(new.version)
        if unjudged is not None:
            log.warning(
                "version goes live unjudged by recent requests",
                model=self._store.model,
                version=new.version,
                why=unjudged.why,
                by=unjudged.by,
            )
            return None
        if new.values is not None:  # it has met no value yet
            record = self._store.record(new.version)
            new.values.learn(record, self._store, self._shadow.rows())
        return self._shadow.judge(live, new, pause, never_live=never_live)
