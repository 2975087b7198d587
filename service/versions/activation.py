"""Makes a version live: loads it, has it judged, swaps the status; or refuses it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from service.errors import StoreError, StoreUnavailable
from service.observe.metrics import LiveFacts, Telemetry
from service.runtime import freeze_objects, prefer_other_threads
from service.scoring.live_version import Live
from service.store.active_notes import LIVE
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.judgement import Judgement
from service.versions.loader import Loader
from service.versions.model_choice import EXAMPLE
from service.versions.refusals import RefusalTracker
from service.versions.shadow import Shadow
from service.versions.status import Seen, Status, lacks_requests

log = structlog.get_logger()


class GivenUpError(Exception):
    """Another version was made active while one waited or was judged, or the worker is to stop."""


class Activation:
    """Changes which version is live; `status` is what it left. `store` is the one that is followed,
    `refusals` and `judgement` are of its model.

    Args:
        store: the versions of the model in Redis.
        bundles: where their files are.
        telemetry: counts what goes live and what is refused.
        loader: has versions in memory.
        shadow: keeps the recent requests that judge a new version.
        first_retry: seconds until a refused version is tried again for the first time.
    """

    def __init__(
        self,
        store: VersionStore,
        bundles: BundleStore,
        telemetry: Telemetry,
        loader: Loader,
        shadow: Shadow,
        first_retry: float,
    ) -> None:
        self.status = Status(store.model, store.model)
        self._bundles = bundles
        self._telemetry = telemetry
        self._loader = loader
        self._shadow = shadow
        self._first_retry = first_retry
        self.follow(store)

    def follow(self, store: VersionStore) -> None:
        """Follow the model of this store from now on; what is live stays so meanwhile."""
        self.store = store
        self.refusals = RefusalTracker(store, self._bundles, self._telemetry, self._first_retry)
        self.judgement = Judgement(store, self.refusals, self._shadow)
        self._loader.keep(None)
        self.set(model=store.model)

    def set(self, **changes: Any) -> None:
        """Replace the status; a reader has all of the old one or all of the new one."""
        self.status = replace(self.status, refusal=self.refusals.standing, **changes)

    def take(self, seen: Seen, pause: Callable[[float], Any], *, waits: bool = False) -> None:
        """Load the active version, judge it where there is one to compare it with, and make it
        live; or refuse it. `pause` is called with seconds between the steps of the judgement. A
        version that `waits` is loaded and not judged yet.

        Raises:
            GivenUpError: as `pause` does.
            StoreError, StoreUnavailable: Redis refuses, or does not answer.
        """
        version, live, started = str(seen.active), self.status.live, time.monotonic()
        if self.status.stands_in:
            live = None  # another model's: not to be compared with
        try:
            ask_others = lacks_requests(self.status, seen)
            self.judgement.check_earlier(version, ask_others=ask_others)
            never_live = not self._loader.has(version)  # else requests may still use what it knows
            new = self._loader.load(self.store, version, live)
            if waits:
                self._loader.keep(new)
                return
            figures = None
            if live is not None:
                figures = self.judgement.judge(live, new, pause, never_live=never_live)
            if figures is not None and self.store.active() != version:
                return  # another was made active meanwhile
        except (StoreUnavailable, StoreError, GivenUpError):
            raise
        except Exception as error:
            self._refuse(version, error)
            return
        self._go_live(new, started, figures)
        self.confirm()

    def serve_unconfirmed(self, version: str) -> None:
        """Make a version live that Redis does not name as active, or refuse it."""
        started = time.monotonic()
        try:
            new = self._loader.load_without_redis(self.store.model, version)
        except Exception as error:
            self._refuse(version, error)
            return
        self._telemetry.unconfirmed.set(1)
        if self.status.redis_fault is not None:
            log.warning("started without redis, on the version active last", version=version)
        else:
            active = self.status.active
            log.warning("started on an earlier version", version=version, active=active)
        self._go_live(new, started)

    def confirm(self) -> None:
        """Note that Redis names what is live as active, if it does."""
        live = self.status.live
        if live is not None and live.version == self.status.active:
            self.set(confirmed=True)
            self._telemetry.unconfirmed.set(0)
            self._bundles.write_note(self.store.model, live.version, LIVE)

    def _go_live(self, new: Live, started: float, figures: dict[str, float] | None = None) -> None:
        freeze_objects()
        old = self.status.live
        if old is None:  # to start was urgent, what follows is less so than requests
            prefer_other_threads()
        self.refusals.drop(new.version)
        self.set(live=new, confirmed=False)
        schema, manifest = new.bundle.schema, new.bundle.manifest
        facts = LiveFacts(new.model, new.version, manifest.created, schema.fields)
        self._telemetry.went_live(facts, old.version if old else None)
        if old is not None:
            self._loader.retire(old)
            self._loader.keep(old if old.model == new.model else None)
        if new.model == EXAMPLE:
            log.warning("this is the made-up example, not a model of yours", model=EXAMPLE)
        log.info(
            "version is live",
            model=new.model,
            version=new.version,
            net=manifest.net,
            before=old.version if old else None,
            seconds=round(time.monotonic() - started, 3),
            judged=figures,
        )

    def _refuse(self, version: str, error: Exception) -> None:
        live = None if self.status.live is None else self.status.live.version
        self.refusals.refuse(version, error, self.status.active, live)
        self.set()
