"""Follows the active version: polls Redis, verifies and warms what it names, swaps one reference.

All of it happens in one thread of its own, off the event loop. A request takes `status.live` once
and keeps it to its end, so a swap touches no request. Whatever fails, the live version stays. A
worker that starts serves the version that was live last, as the notes beside the bundles have it,
while Redis cannot be reached or the active version is refused, or yet to be judged.
"""

import threading
import time
from dataclasses import dataclass

import structlog

from service.errors import StoreError, StoreUnavailable
from service.limits import NO_CACHE, CacheLimits
from service.observe.metrics import Telemetry
from service.scoring.live_version import Live
from service.scoring.remote.redis_lookups import Lookups
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.activation import Activation, GivenUpError
from service.versions.fallback import Fallback
from service.versions.loader import Loader
from service.versions.model_choice import ModelChoice
from service.versions.refusals import FIRST_RETRY_SECONDS
from service.versions.shadow import Shadow
from service.versions.status import Action, Seen, Status, decide, lacks_requests

RECONNECT_SECONDS = 0.25  # from a poll that did not reach Redis to the next, be they often or rare
CONNECTION_SECONDS = 1.0  # its age: an old server may answer on it long after another took its name

log = structlog.get_logger()


@dataclass(frozen=True)
class Times:
    """Seconds: from one poll to the next; until a replaced version is freed, since requests may
    still use it; how long a worker that replaces one waits for requests, or for what other
    workers find on their requests; until a refused version is tried again for the first time.
    """

    poll: float = 0.4
    retired: float = 2.0
    patience: float = 10.0
    first_retry: float = FIRST_RETRY_SECONDS


DEFAULT_TIMES = Times()


class Follower:
    """Keeps the active version of a model live; `status` says which one is.

    Args:
        store: the versions of the model in Redis; used by this object only.
        bundles: where their files are.
        telemetry: counts what goes live and what is refused.
        times: how long the follower waits for what.
        cache: how many ads a version keeps encoded.
        lookups: asks Redis for values of fields that stay there.
        shadow: keeps the recent requests that judge a new version.
        replaces: this worker stands in for one that died, and others may be judging.
        example: the made-up example, which stands in until the model has a version of its own.
    """

    def __init__(
        self,
        store: VersionStore,
        bundles: BundleStore,
        telemetry: Telemetry,
        times: Times,
        *,
        cache: CacheLimits = NO_CACHE,
        lookups: Lookups | None = None,
        shadow: Shadow | None = None,
        replaces: bool = False,
        example: VersionStore | None = None,
    ) -> None:
        self.shadow = shadow or Shadow()
        self._bundles = bundles
        self._telemetry = telemetry
        self._times = times
        self._replaces = replaces
        self._models = ModelChoice(store, example, bundles)
        self._loader = Loader(bundles, cache, lookups, times.retired)
        self._activation = Activation(
            store, bundles, telemetry, self._loader, self.shadow, times.first_retry
        )
        self._fallback = Fallback(self._activation, bundles)
        self._patient_until = 0.0
        self._connection_ends = 0.0
        self._look_at = 0.0
        self._polled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def status(self) -> Status:
        """What is live, and why."""
        return self._activation.status

    @property
    def previous(self) -> Live | None:
        """Another version of the model in memory: the one before the live one, in most cases."""
        return self._loader.spare

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

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._poll()
            except GivenUpError:
                continue  # there is another one, and a user waits for it
            except Exception as error:  # a thread that ends would follow no version ever again
                log.exception("poll failed", kind=type(error).__name__)
            self._polled.set()
            lost = self.status.redis_fault is not None
            self._stopping.wait(RECONNECT_SECONDS if lost else self._times.poll)
        self._activation.store.close()

    def _poll(self) -> None:
        self._loader.free_retired()
        self._renew_connection()
        try:
            seen = self._look()
            self._act(decide(self.status, seen), seen)
            self._announce()
        except (StoreUnavailable, StoreError) as error:
            self._lost_redis(str(error))
            if self.status.live is None:
                self._serve_without_redis()

    def _look(self) -> Seen:
        if self._models.choose():
            self._activation.follow(self._models.store)
        activation, live = self._activation, self.status.live
        active = activation.store.active()
        if active is not None:
            activation.refusals.drop_all_but(active)
        activation.set(active=active)
        if self.status.redis_fault is not None:
            self._reached_redis()
        if active is None or (live is not None and live.version == active):
            return Seen(time.monotonic(), active)
        last = self._fallback.live_last() if live is None and self._replaces else []
        return Seen(
            time.monotonic(),
            active,
            forced=activation.judgement.unjudged(active) is not None,
            in_memory=self._loader.has(active),
            judged=self.shadow.judges,
            enough=self.shadow.suffices(),
            previous=last[0] if last else None,
            patient_until=self._patient_until,
        )

    def _act(self, action: Action, seen: Seen) -> None:
        match action:
            case Action.CONFIRM:
                self._activation.confirm()
            case Action.FALL_BACK:
                self._fallback.serve_active_last()
            case Action.START_ON_PREVIOUS:
                self._fallback.serve(self._fallback.live_last())
                if self.status.live is None:
                    self._go_live(seen)
                else:
                    self._patient_until = time.monotonic() + self._times.patience
                    # in the same poll: a worker listens as soon as its first one is done, and
                    # says then whether the active version is refused
                    seen = self._look()
                    self._act(decide(self.status, seen), seen)
            case Action.GO_LIVE:
                self._go_live(seen)
            case Action.JUDGE | Action.WAIT:
                if lacks_requests(self.status, seen):
                    self._pause(2 * self._times.poll)  # those with requests to judge on go first
                # one worker after the other, so that a core stays free for requests
                with self._bundles.turn(self.status.model, str(seen.active), self._pause):
                    self._activation.take(seen, self._pause, waits=action is Action.WAIT)

    def _go_live(self, seen: Seen) -> None:
        stood_in = self.status.stands_in
        self._activation.take(seen, self._pause)
        if stood_in:
            self.shadow.forget()  # requests to another model
        if self.status.live is None:
            self._fallback.serve_active_last()

    def _serve_without_redis(self) -> None:
        self._fallback.serve_active_last()
        if self.status.live is None and self._models.choose_without_redis():
            self._activation.follow(self._models.store)
            self._fallback.look_again()
            self._fallback.serve_active_last()

    def _pause(self, seconds: float) -> None:
        # while it waits or judges: a rollback need not wait for the end of it
        if self._stopping.wait(seconds):
            raise GivenUpError
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + self._times.poll
            self._renew_connection()
            self._announce()
            if self._activation.store.active() != self.status.active:
                raise GivenUpError

    def _announce(self) -> None:
        live = self.status.live
        self._activation.refusals.announce(None if live is None else live.version)

    def _renew_connection(self) -> None:
        now = time.monotonic()
        if now >= self._connection_ends:
            self._activation.store.close()
            self._connection_ends = now + CONNECTION_SECONDS

    def _reached_redis(self) -> None:
        store, warning = self._activation.store, None
        log.info("redis reached", url=store.url)
        if policy := store.evicts():
            warning = f"maxmemory-policy {policy} may drop vocabularies: set noeviction"
            log.warning("redis may drop vocabularies", policy=policy, url=store.url)
        self._activation.set(redis_fault=None, redis_warning=warning)
        self._telemetry.redis_up.set(1)

    def _lost_redis(self, fault: str) -> None:
        self._telemetry.redis_up.set(0)
        if fault != self.status.redis_fault:
            log.warning("redis cannot be used; the live version stays", reason=fault)
        self._activation.set(redis_fault=fault)
