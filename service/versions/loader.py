"""Versions in memory: one is loaded and proved, the one before is kept for a rollback, older ones
are freed once no request uses them.
"""

import time

from model.bundle.bundle import Bundle
from service.limits import CacheLimits
from service.runtime import trim_memory
from service.scoring.live_version import Live, make_live
from service.scoring.remote.redis_lookups import Lookups
from service.scoring.remote.remote_fields import LiveValues
from service.store.bundle_store import BundleStore
from service.store.packed_files import PackedFiles
from service.store.version_store import VersionStore


class Loader:
    """Loads versions, and keeps one `spare` that is not live, with the ads that it knows.

    `cache`: how many ads a version keeps. `lookups`: for fields whose values stay in Redis.
    `retired_seconds`: how long requests may still use a version that another one replaced.
    """

    def __init__(
        self,
        bundles: BundleStore,
        cache: CacheLimits,
        lookups: Lookups | None,
        retired_seconds: float,
    ) -> None:
        self._bundles = bundles
        self._cache = cache
        self._lookups = lookups
        self._retired_seconds = retired_seconds
        self._retired: list[tuple[float, Live]] = []
        self._spare: Live | None = None

    @property
    def spare(self) -> Live | None:
        """The spare version."""
        return self._spare

    def has(self, version: str) -> bool:
        """Whether the version is the spare one."""
        return self._spare is not None and self._spare.version == version

    def load(self, store: VersionStore, version: str, like: Live | None) -> Live:
        """A published version, as `make_live` proves it; the spare one is taken as it is.

        Raises:
            BundleError: its files, its vocabularies in Redis or its golden rows are not right.
            StoreUnavailable: Redis does not answer.
        """
        if self._spare is not None and self._spare.version == version:
            return self._spare
        self._spare = None  # before there is a third one in memory
        packed = self._files(store.model).fetched(store, version)
        opened = self._bundles.open(store.model, version, packed)
        held = store.vocabularies(version)
        values = self._remote_values(store, opened.bundle)
        known = opened.vocabularies
        return make_live(store.model, opened.bundle, held, self._cache, values, like, known)

    def load_without_redis(self, model: str, version: str) -> Live:
        """A version with the vocabularies of its own bundle, and the packed ones that are here.

        Raises:
            BundleError: its files or its golden rows are not right.
        """
        packed = self._files(model).held(version)
        opened = self._bundles.open(model, version, packed)
        held = opened.bundle.read_vocabulary_bytes(packed)
        return make_live(model, opened.bundle, held, self._cache, known=opened.vocabularies)

    def keep(self, version: Live | None) -> None:
        """Make a version the spare one, in place of another."""
        self._spare = version

    def retire(self, old: Live) -> None:
        """Hold a version that is no longer live until no request can use it."""
        self._retired.append((time.monotonic() + self._retired_seconds, old))

    def free_retired(self) -> None:
        """Free the versions that no request uses any more. Called by the follower's thread: to free
        the graphs takes a while, which no request should wait for.
        """
        now = time.monotonic()
        kept = [(until, live) for until, live in self._retired if until > now]
        freed, self._retired = len(kept) < len(self._retired), kept
        if freed:
            trim_memory()

    def _files(self, model: str) -> PackedFiles:
        return PackedFiles(self._bundles.own_folder(model))

    def _remote_values(self, store: VersionStore, bundle: Bundle) -> LiveValues | None:
        if self._lookups is None:
            return None
        record = store.record(bundle.version)
        if not record.live:
            return None
        values = LiveValues(record, bundle.schema, store, self._lookups)
        rows = [row for case in bundle.read_golden() for row in case.request["instances"]]
        values.learn(record, store, rows)
        return values
