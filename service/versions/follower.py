"""Follows the active version: polls Redis, verifies and warms what it names, swaps one reference.

All of it happens in one thread of its own, off the event loop; a request takes `follower.live` once
and keeps it to its end, so a swap touches no request. Whatever fails, the live version stays. A
worker that starts goes on with the version that was live last, as the notes beside the bundles have
it, where Redis cannot be reached or the active version is refused, or yet to be judged.
"""

import ctypes
import gc
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from model.bundle.bundle import Bundle
from service.errors import NoModel, ShadowError, StoreError, StoreUnavailable
from service.observe.metrics import LiveFacts, Telemetry
from service.scoring.live_version import Live, make_live
from service.scoring.redis_lookups import Lookups
from service.scoring.remote_fields import LiveValues
from service.settings import NO_CACHE, CacheLimits
from service.store.active_notes import LIVE
from service.store.bundle_store import BundleStore
from service.store.records import Unjudged
from service.store.version_store import VersionStore
from service.versions.refusals import Refusal, Refusals
from service.versions.shadow import CODES, Shadow

FALL_BACK_SECONDS = 5.0  # from one look at what was live last to the next
RECONNECT_SECONDS = 0.25  # from a poll that did not reach Redis to the next, be they often or rare
CONNECTION_SECONDS = 1.0  # its age: an old server may answer on it long after another took its name
RETIRED_SECONDS = 2.0  # for the requests that still use it: the last user frees the graphs
NICENESS = 5  # of the thread: a third of a request's share where there are too few cores
EXAMPLE = "example"  # the model that is trained on the made-up log of `afm-train simulate`
PATIENCE_SECONDS = 10.0  # of a worker that started: for requests, or for what others make of theirs

log = structlog.get_logger()


class _GivenUpError(Exception):
    # another version was made active while one waited or was judged, or the worker is to stop
    pass


class Follower:
    """Keeps the active version of a model live; `live` is None until the first one is.

    `confirmed`: Redis named what is live; it did not where the service started without it. `shadow`
    has the recent requests that judge a new one. `replaces`: this worker stands in for one that
    died, and others may be judging. `example`: of the made-up example, which stands in until the
    model has a version of its own, and never again after.
    """

    def __init__(
        self,
        store: VersionStore,
        bundles: BundleStore,
        telemetry: Telemetry,
        poll_seconds: float,
        ad_cache: CacheLimits = NO_CACHE,
        lookups: Lookups | None = None,
        shadow: Shadow | None = None,
        *,
        replaces: bool = False,
        example: VersionStore | None = None,
    ) -> None:
        self.live: Live | None = None
        self.active: str | None = None
        self.confirmed = False
        self.redis_fault: str | None = "not asked yet"
        self.redis_warning: str | None = None
        self.model = store.model
        self.shadow = shadow or Shadow()
        self._store = self._own = store
        self._example = example
        self._bundles = bundles
        self._telemetry = telemetry
        self._poll_seconds = poll_seconds
        self._ad_cache = ad_cache
        self._lookups = lookups
        self._replaces = replaces
        self._connection_ends = 0.0
        self._refusals = Refusals(store, bundles, telemetry)
        self._retired: list[tuple[float, Live]] = []
        # what was live before, and the ads that it knows: a rollback to it loads nothing
        self._spare: Live | None = None
        self._fall_back_at = 0.0
        self._patient_until = 0.0
        self._look_at = 0.0
        self._polled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def refusal(self) -> Refusal | None:
        """Why what is active is not live, where it was tried."""
        return self._refusals.standing

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return once the first poll is done, and what was active is live or refused."""
        self._polled.wait(seconds)

    def stop(self) -> None:
        """End polling; what is live stays so."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def require(self) -> Live:
        """What is live.

        Raises:
            NoModel: nothing is; says why and what to do.
        """
        if self.live is not None:
            return self.live
        raise NoModel(self.why_not_ready())

    def why_not_ready(self) -> str:
        """Why nothing is live, and what to do."""
        if self.refusal is not None:
            return f"version {self.refusal.version} was refused: {self.refusal.reason}"
        if self.redis_fault is not None:
            return self.redis_fault
        if self.active is not None:
            return f"version {self.active} is being loaded"
        return (
            f"nothing is published as model {self._own.model!r}: run afm-serve publish BUNDLE "
            f"--model {self._own.model}"
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._poll()
            except _GivenUpError:
                continue  # there is another one, and somebody waits for it
            except Exception as error:  # a thread that ends would follow no version ever again
                log.exception("poll failed", kind=type(error).__name__)
            self._polled.set()
            lost = self.redis_fault is not None
            self._stopping.wait(RECONNECT_SECONDS if lost else self._poll_seconds)
        self._store.close()

    def _poll(self) -> None:
        self._drop_retired()
        self._renew_connection()
        try:
            self._choose_model()
            self.active = self._store.active()
            if self.redis_fault is not None:
                self._reached_redis()
            if self.live is None and self.active is not None:
                self._begin(self.active)
            if self.active is not None and self._is_wanted(self.active):
                self._activate(self.active)
            self._tell()
            if self.live is not None and self.live.version == self.active:
                self._confirm(self.live)
        except (StoreUnavailable, StoreError) as error:
            self._lost_redis(str(error))
        if self.live is None:
            self._fall_back([one.version for one in self._bundles.noted(self.model)])
        if self.live is None and self._example is not None and self._store is self._own:
            self._fall_back_to_example(self._example)

    def _choose_model(self) -> None:
        if self._example is None:
            return
        if self._bundles.noted(self._own.model) or self._own.active() is not None:
            self._follow(self._own)
            self._example = None
        elif self._store is self._own and self._example.active() is not None:
            self._follow(self._example)

    def _fall_back_to_example(self, example: VersionStore) -> None:
        # without Redis, and nothing else was ever active beside these bundles
        noted = self._bundles.noted(example.model)
        if self.redis_fault is not None and noted and not self._bundles.noted(self._own.model):
            self._follow(example)
            self._fall_back_at = 0.0
            self._fall_back([one.version for one in noted])

    def _follow(self, store: VersionStore) -> None:
        if store is self._store:
            return
        self._store.close()
        self._store, self.model = store, store.model
        self._refusals = Refusals(store, self._bundles, self._telemetry)
        self._spare = None

    def _is_stood_in_for(self) -> bool:
        # by another model, whose scores and requests say nothing of this one
        return self.live is not None and self.live.model != self.model

    def _tell(self) -> None:
        self._refusals.tell(None if self.live is None else self.live.version)

    def _is_wanted(self, version: str) -> bool:
        self._refusals.drop_all_but(version)
        if self.live is not None and self.live.version == version:
            return False
        if self.refusal is None or not self._refusals.bars(version):
            return True
        # refused as it was judged, and now wanted all the same
        return self.refusal.judged and self._unjudged(version) is not None

    def _activate(self, version: str) -> None:
        if self._is_stood_in_for():
            self._load_and_judge(version)
            self.shadow.forget()
            return
        if self.live is None or (self._is_kept(version) and self._unjudged(version) is not None):
            self._load_and_judge(version)
            return
        if self._knows_little(version):
            self._rest(2 * self._poll_seconds)  # whoever has requests to judge on goes first
        # one worker after the other, so that a core stays free for requests
        with self._bundles.turn(self.model, version, self._rest):
            self._load_and_judge(version)

    def _load_and_judge(self, version: str) -> None:
        started = time.monotonic()
        try:
            self._respect_refusal(version)
            waits = self._waits_for_others(version)
            fresh = not self._is_kept(version)  # else requests may still use what it knows
            new = self._kept(version) or self._load(version)
            if waits:
                self._spare = new
                return
            seen = self._judge(new, fresh=fresh)
            if seen is not None and self._store.active() != version:
                return  # another was made active meanwhile
        except (StoreUnavailable, StoreError, _GivenUpError):
            raise
        except Exception as error:
            self._refuse(version, error)
            return
        self._go_live(new, started, seen)

    def _is_kept(self, version: str) -> bool:
        return self._spare is not None and self._spare.version == version

    def _kept(self, version: str) -> Live | None:
        if self._is_kept(version):
            return self._spare
        self._spare = None  # before there is a third one in memory
        return None

    def _load(self, version: str) -> Live:
        bundle = self._bundles.open(self.model, version)
        held = self._store.vocabularies(version)
        values = self._live_values(bundle)
        return make_live(self.model, bundle, held, self._ad_cache, values, self._before())

    def _before(self) -> Live | None:
        return None if self._is_stood_in_for() else self.live

    def _live_values(self, bundle: Bundle) -> LiveValues | None:
        if self._lookups is None:
            return None
        record = self._store.record(bundle.version)
        if not record.live:
            return None
        values = LiveValues(record, bundle.schema, self._store, self._lookups)
        rows = [row for case in bundle.golden() for row in case.request["instances"]]
        values.learn(record, self._store, rows)
        return values

    def _begin(self, active: str) -> None:
        # a worker that replaces one has no requests to judge on, and may not let past what others
        # refuse: it answers by what was live last, until it has some or heard from the others
        if not self._replaces or not self.shadow.judges or self._unjudged(active) is not None:
            return
        good = [one.version for one in self._bundles.noted(self.model) if one.found == LIVE]
        if good and good[0] != active:
            self._fall_back(good)
            if self.live is not None:
                self._patient_until = time.monotonic() + PATIENCE_SECONDS

    def _fall_back(self, candidates: Sequence[str]) -> None:
        now = time.monotonic()
        if now < self._fall_back_at:
            return
        refused = self._refusals.refused_ones()
        with suppress(StoreError, StoreUnavailable):  # an emptied folder of notes is no reason to
            candidates = [*candidates, *self._store.previous()]  # answer by nothing
        for version in dict.fromkeys(candidates):
            if version not in refused and not self._refusals.bars(version):
                self._go_live_unconfirmed(version)
            if self.live is not None:
                return
        self._fall_back_at = now + FALL_BACK_SECONDS

    def _go_live_unconfirmed(self, version: str) -> None:
        started = time.monotonic()
        try:
            bundle = self._bundles.open(self.model, version)
            new = make_live(self.model, bundle, bundle.vocabulary_bytes(), self._ad_cache)
        except Exception as error:
            self._refuse(version, error)
            return
        self._telemetry.unconfirmed.set(1)
        if self.redis_fault is not None:
            log.warning("started without redis, on the version active last", version=version)
        else:
            log.warning("started on an earlier version", version=version, active=self.active)
        self._go_live(new, started)

    def _confirm(self, live: Live) -> None:
        if not self.confirmed:
            self.confirmed = True
            self._telemetry.unconfirmed.set(0)
            self._bundles.remember(self.model, live.version, LIVE)

    def _go_live(self, new: Live, started: float, seen: dict[str, float] | None = None) -> None:
        # long-lived objects out of the collector's sight: else it walks them all, requests waiting
        gc.collect()
        gc.freeze()
        old, self.live = self.live, new
        if old is None:  # to start was urgent, what follows is less so than requests
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._refusals.drop(new.version)
        self.confirmed = False
        facts = LiveFacts(
            self.model, new.version, new.bundle.manifest.created, new.bundle.schema.fields
        )
        self._telemetry.went_live(facts, old.version if old else None)
        if old is not None:
            self._retired.append((time.monotonic() + RETIRED_SECONDS, old))
            self._spare = old if old.model == new.model else None
        if new.model == EXAMPLE:
            log.warning("this is the made-up example, not a model of yours", model=EXAMPLE)
        log.info(
            "version is live",
            model=self.model,
            version=new.version,
            net=new.bundle.manifest.net,
            before=old.version if old else None,
            seconds=round(time.monotonic() - started, 3),
            judged=seen,
        )

    def _judge(self, new: Live, *, fresh: bool) -> dict[str, float] | None:
        # what recent requests say of it; None where nobody asks them
        if self.live is None or self._is_stood_in_for():
            return None
        unjudged = self._unjudged(new.version)
        if unjudged is not None:
            log.warning(
                "version goes live unjudged by recent requests",
                model=self.model,
                version=new.version,
                why=unjudged.why,
                by=unjudged.by,
            )
            return None
        if new.values is not None:  # it has met no value yet
            record = self._store.record(new.version)
            new.values.learn(record, self._store, self.shadow.rows())
        return self.shadow.judge(self.live, new, self._rest, fresh=fresh)

    def _rest(self, seconds: float) -> None:
        # while it waits or judges: a rollback need not wait for the end of it
        if self._stopping.wait(seconds):
            raise _GivenUpError
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self._poll_seconds
            self._renew_connection()
            self._tell()
            if self._store.active() != self.active:
                raise _GivenUpError

    def _knows_little(self, version: str) -> bool:
        if self._is_stood_in_for():
            return False
        shadow = self.shadow
        return shadow.judges and not shadow.suffices() and self._unjudged(version) is None

    def _respect_refusal(self, version: str) -> None:
        # what live traffic refused once stays refused, whoever starts anew, until it is forced
        found = self._refusals.found_before(version)
        if found is not None and self._unjudged(version) is None:
            raise ShadowError(found.reason, found.code)

    def _waits_for_others(self, version: str) -> bool:
        # few requests say little: what other workers find on more of them stands
        if not self._knows_little(version):
            return False
        with suppress(StoreError):  # without the right to ask
            for one in self._refusals.told():
                if one.version == version and one.code in CODES:
                    raise ShadowError(one.reason, one.code)
        return time.monotonic() < self._patient_until

    def _unjudged(self, version: str) -> Unjudged | None:
        said = self._store.unjudged()
        return said if said is not None and said.version == version else None

    def _refuse(self, version: str, error: Exception) -> None:
        live = None if self.live is None else self.live.version
        self._refusals.note(version, error, self.active, live)

    def _renew_connection(self) -> None:
        now = time.monotonic()
        if now >= self._connection_ends:
            self._store.close()
            self._connection_ends = now + CONNECTION_SECONDS

    def _reached_redis(self) -> None:
        self.redis_fault = None
        self._telemetry.redis_up.set(1)
        log.info("redis reached", url=self._store.url)
        self.redis_warning = None
        if policy := self._store.evicts():
            self.redis_warning = f"maxmemory-policy {policy} may drop vocabularies: set noeviction"
            log.warning("redis may drop vocabularies", policy=policy, url=self._store.url)

    def _lost_redis(self, fault: str) -> None:
        self._telemetry.redis_up.set(0)
        if fault != self.redis_fault:
            log.warning("redis cannot be used; the live version stays", reason=fault)
        self.redis_fault = fault

    def _drop_retired(self) -> None:
        # here, because to free the graphs takes a while, and must not take it from a request
        now = time.monotonic()
        kept = [(until, live) for until, live in self._retired if until > now]
        dropped, self._retired = len(kept) < len(self._retired), kept
        if dropped:
            _trim()


def _trim() -> None:
    # glibc keeps what was freed, in pieces that the next version does not fit into: without this
    # a worker grows by tens of megabytes over its first swaps
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
