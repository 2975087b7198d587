"""Why the active version may not go live, and when it is tried again: counted, logged, and told to
Redis, where `afm-serve versions` finds it.
"""

import time
from dataclasses import dataclass

import structlog

from model.errors import AfmError, BundleError
from service.errors import ShadowError, StoreError
from service.observe.logs import last_frames
from service.observe.metrics import Telemetry
from service.store.bundle_store import BundleStore
from service.store.version_store import Refused, VocabularyStore

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


class Refusals:
    """The one that stands, if any: `standing` is of the version that is active, or that the worker
    would start on.
    """

    def __init__(self, store: VocabularyStore, bundles: BundleStore, telemetry: Telemetry) -> None:
        self.standing: Refusal | None = None
        self._store = store
        self._bundles = bundles
        self._telemetry = telemetry
        self._told = False

    def of(self, version: str) -> Refusal | None:
        """The one that stands, if it is of this version."""
        standing = self.standing
        return standing if standing is not None and standing.version == version else None

    def bars(self, version: str) -> bool:
        """Whether it is too early to try the version again."""
        refusal = self.of(version)
        return refusal is not None and time.monotonic() < refusal.again_at

    def drop_all_but(self, version: str) -> None:
        """Forget that of another version: it may be wanted again later, and mended by then."""
        self.standing = self.of(version)

    def drop(self, version: str) -> None:
        """Forget that of a version that went live."""
        if self.of(version) is not None:
            self.standing = None

    def note(self, version: str, error: Exception, active: str | None, live: str | None) -> None:
        """Refuse a version for what went wrong; it is tried again, later with each time."""
        reason = str(error)
        if not isinstance(error, AfmError):  # whose text may hold anything
            reason = f"{type(error).__name__} at {last_frames(error)[-1]}"
        judged = isinstance(error, ShadowError)
        code = error.code if isinstance(error, BundleError | ShadowError) else "unforeseen"
        delay = FIRST_RETRY_SECONDS
        before = self.of(version)
        if before is not None:
            delay = min(2 * before.delay, LAST_RETRY_SECONDS)
        if active in (None, version):  # else what is told is why the active one is not live
            again_at = time.monotonic() + delay
            self.standing = Refusal(version, code, reason, again_at, delay, judged)
        model = self._store.model
        if judged:
            self._bundles.remember(model, version, code, reason)
        self._telemetry.refused.labels(version, code).inc()
        log.error(
            "version refused",
            model=model,
            version=version,
            code=code,
            reason=reason,
            live=live,
            again_in_seconds=delay,
        )

    def tell(self) -> None:
        """Say to Redis what stands, or that nothing does any more: at each poll while it does,
        since a new connection has no name.
        """
        standing = self.standing
        if standing is None and not self._told:
            return
        said = None
        if standing is not None:
            said = Refused(standing.version, standing.code, standing.reason)
        try:
            self._store.tell(said)
        except StoreError as error:  # without the right: log and metric have it all the same
            if not self._told:
                log.warning("redis cannot be told of the refusal", reason=str(error))
        self._told = said is not None
