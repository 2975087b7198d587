"""Which model a worker follows: its own or, until that has a version, the made-up example."""

from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore

EXAMPLE = "example"  # the model that is trained on the made-up log of `afm-train simulate`


class ModelChoice:
    """Follows `own`; where an `example` is given, it stands in until `own` has a version, and never
    again after that. `store` is the one that is followed.
    """

    def __init__(
        self, own: VersionStore, example: VersionStore | None, bundles: BundleStore
    ) -> None:
        self.own = self.store = own
        self._example = example
        self._bundles = bundles

    def choose(self) -> bool:
        """Look at what is published; returns whether another model is followed from now on.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if self._example is None:
            return False
        if self._bundles.read_notes(self.own.model) or self.own.active() is not None:
            self._example = None
            return self._follow(self.own)
        return self._example.active() is not None and self._follow(self._example)

    def choose_without_redis(self) -> bool:
        """The same where Redis does not answer, by the notes of what was active."""
        example = self._example
        if (
            example is None
            or self.store is not self.own
            or self._bundles.read_notes(self.own.model)
        ):
            return False
        return bool(self._bundles.read_notes(example.model)) and self._follow(example)

    def _follow(self, store: VersionStore) -> bool:
        if store is self.store:
            return False
        self.store.close()
        self.store = store
        return True
