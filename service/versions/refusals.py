"""Why the active version may not go live, and when it is tried again: counted, logged, and written
to Redis, where `afm-serve versions` finds it. What recent requests refuse stays refused, in Redis
and in the notes beside the bundles, until a user forces it.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

import structlog

from model.errors import AfmError, BundleError
from service.errors import ShadowError, StoreError, StoreUnavailable
from service.observe.logs import last_frames
from service.observe.metrics import Telemetry
from service.store.bundle_store import BundleStore
from service.store.records import FORCED, RefusalNote
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore

FIRST_RETRY_SECONDS = 5.0  # doubled with each further refusal of the same version
LAST_RETRY_SECONDS = 300.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Refusal:
    """A version that may not go live, and when it is tried again (monotonic seconds); `code` says
    why in a word, `judged` whether recent requests did.
    """

    version: str
    code: str
    reason: str
    again_at: float
    delay: float
    judged: bool = False


class RefusalTracker:
    """The refusal that stands, if any: `standing` is of the version that is active, or that the
    worker would start on. A version that was refused for the first time is tried again after
    `first_retry` seconds.
    """

    def __init__(
        self,
        store: VersionStore,
        bundles: BundleStore,
        telemetry: Telemetry,
        first_retry: float = FIRST_RETRY_SECONDS,
    ) -> None:
        self.standing: Refusal | None = None
        self._store = store
        self._bundles = bundles
        self._telemetry = telemetry
        self._first_retry = first_retry
        self._board = RefusalBoard(store)
        self._unrecorded: RefusalNote | None = None  # that Redis does not have yet
        self._warned = False

    def of(self, version: str) -> Refusal | None:
        """The one that stands, if it is of this version."""
        standing = self.standing
        return standing if standing is not None and standing.version == version else None

    def bars(self, version: str) -> bool:
        """Whether it is too early to try the version again; what recent requests refused is not
        tried again at all.
        """
        refusal = self.of(version)
        return refusal is not None and (refusal.judged or time.monotonic() < refusal.again_at)

    def found_before(self, version: str) -> RefusalNote | None:
        """What recent requests, of any worker, made of the version before; None where they did not
        refuse it, or a user forced it since.
        """
        kept: dict[str, RefusalNote] = {}
        with suppress(StoreError):  # without the right to ask, the notes are all there is
            kept = self._store.refusals()
        if version in kept:
            return None if kept[version].code == FORCED else kept[version]
        for one in self._bundles.read_notes(self._store.model):
            if one.version == version and one.refused:
                return RefusalNote(version, one.outcome, one.reason)
        return None

    def refused_ones(self) -> set[str]:
        """The versions that recent requests refused, as far as Redis answers or the notes know."""
        noted = {one.version for one in self._bundles.read_notes(self._store.model) if one.refused}
        try:
            kept = self._store.refusals()
        except (StoreError, StoreUnavailable):
            return noted
        lifted = {one.version for one in kept.values() if one.code == FORCED}
        return (noted | kept.keys()) - lifted

    def drop_all_but(self, version: str) -> None:
        """Forget the refusal of another version: that may be wanted again, and repaired by then."""
        self.standing = self.of(version)

    def drop(self, version: str) -> None:
        """Forget that of a version that went live."""
        if self.of(version) is not None:
            self.standing = None

    def refuse(self, version: str, error: Exception, active: str | None, live: str | None) -> None:
        """Refuse a version for what went wrong; it is tried again, later with each time. `active`
        and `live` are the versions that are so meanwhile.
        """
        reason = str(error)
        if not isinstance(error, AfmError):  # whose text may hold anything
            reason = f"{type(error).__name__} at {last_frames(error)[-1]}"
        judged = isinstance(error, ShadowError)
        code = error.code if isinstance(error, BundleError | ShadowError) else "unforeseen"
        delay = self._first_retry
        before = self.of(version)
        if before is not None:
            delay = min(2 * before.delay, LAST_RETRY_SECONDS)
        if active in (None, version):  # else what stands is why the active one is not live
            again_at = time.monotonic() + delay
            self.standing = Refusal(version, code, reason, again_at, delay, judged)
        model = self._store.model
        if judged:
            self._bundles.write_note(model, version, code, reason)
            self._unrecorded = RefusalNote(version, code, reason)
        self._telemetry.refused.labels(code).inc()
        log.error(
            "version refused",
            model=model,
            version=version,
            code=code,
            reason=reason,
            live=live,
            again_in_seconds=delay,
        )

    def refusals_of_workers(self) -> list[RefusalNote]:
        """What the workers that are connected refuse, this one among them."""
        return self._board.refusals_of_workers()

    def announce(self, live: str | None) -> None:
        """Publish in Redis which version this worker serves and which one it refuses: at each poll,
        since a new connection has no name. Keep there what recent requests refused.
        """
        standing = self.standing
        said = None
        if standing is not None:
            said = RefusalNote(standing.version, standing.code, standing.reason)
        try:
            self._board.announce(live, said)
            if self._unrecorded is not None:
                self._board.record(self._unrecorded)
                self._unrecorded = None
            self._warned = False
        except StoreError as error:  # without the right: log and metric have it all the same
            if not self._warned and (said is not None or self._unrecorded is not None):
                log.warning("the refusal cannot be written to redis", reason=str(error))
                self._warned = True
