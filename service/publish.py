"""Publishing a bundle: verified, scored once as the service will, stored, listed, made active."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model.bundle import Bundle
from model.golden import replay
from service.bundle_store import BundleStore
from service.errors import VersionError
from service.vocabulary_store import Record, VocabularyStore


@dataclass(frozen=True)
class Published:
    """What came of it; `again`: the version had been published before."""

    record: Record
    active: bool
    again: bool


def publish(
    directory: Path, store: VocabularyStore, bundles: BundleStore, *, activate: bool = True
) -> Published:
    """Publish the bundle in a directory; a version that is published already stays as it is.

    Raises:
        BundleError: the bundle is damaged, or does not score its golden rows as it should.
        StoreError, StoreUnavailable: see VocabularyStore.publish.
    """
    bundle = Bundle.open(directory)
    replay(bundle.golden(), bundle.encoder(), bundle.scorer())
    before = _known(store, bundle.version)  # asks Redis before anything is copied
    stored = bundles.add(store.model, bundle)
    record = before or Record(
        version=bundle.version,
        net=bundle.manifest.net,
        created=bundle.manifest.created,
        published=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=bundles.location(store.model, bundle.version),
        metrics=bundle.manifest.metrics,
    )
    # written anew even if it is known: so a publish also mends what Redis lost
    store.publish(record, stored.vocabulary_bytes(), activate=activate)
    return Published(record, store.active() == bundle.version, before is not None)


def _known(store: VocabularyStore, version: str) -> Record | None:
    try:
        return store.record(version)
    except VersionError:
        return None
