"""Removes old versions that no worker serves and that the next rollback would not go back to."""

from datetime import UTC, datetime, timedelta

from service.errors import VersionError
from service.store.active_notes import LIVE
from service.store.bundle_store import BundleStore
from service.store.publication import Publication
from service.store.refusal_board import RefusalBoard
from service.store.version_store import VersionStore


def prune(
    store: VersionStore, bundles: BundleStore, keep: int, older_than: timedelta = timedelta(0)
) -> list[str]:
    """Remove the versions beyond the `keep` latest that were published longer ago than
    `older_than`, bundles and vocabularies; returns them. Those that are in use stay, see `in_use`.

    Raises:
        VersionError: a record cannot be read.
        BundleError: the bundle store cannot be written.
        StoreError, StoreUnavailable: see VersionStore.
    """
    limit = datetime.now(UTC) - older_than
    kept = in_use(store, bundles)
    removed = []
    for record in store.versions()[keep:]:
        if record.version in kept or datetime.fromisoformat(record.published) > limit:
            continue
        try:
            Publication(store).withdraw(record)
        except VersionError:  # it was made active meanwhile
            continue
        bundles.remove(store.model, record.version)
        removed.append(record.version)
    return removed


def in_use(store: VersionStore, bundles: BundleStore) -> set[str]:
    """The active version, what workers answer by, what a rollback would go back to, and what a
    worker would start on without Redis.
    """
    found = {store.active(), *(one.live for one in RefusalBoard(store).workers())}
    refused = store.refused()
    found |= set([one for one in store.previous() if one not in refused][:1])
    found |= set(
        [one.version for one in bundles.read_notes(store.model) if one.outcome == LIVE][:1]
    )
    return {version for version in found if version is not None}
