"""Publishing a bundle: verified, scored once as the service will, stored, listed, made active."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model.bundle import Bundle
from model.errors import BundleError
from model.golden import replay
from service.bundle_store import BundleStore
from service.errors import VersionError
from service.gate import Gate, Verdict
from service.vocabulary_store import Record, VocabularyStore


@dataclass(frozen=True)
class Published:
    """What came of it; `again`: the version had been published before; `saw`: what the gate saw, a
    line each, and `faults` which of it would have refused the bundle.
    """

    record: Record
    active: bool
    again: bool
    saw: Sequence[str] = ()
    faults: Sequence[str] = ()


def publish(
    directory: Path,
    store: VocabularyStore,
    bundles: BundleStore,
    *,
    activate: bool = True,
    gate: Gate | None = None,
) -> Published:
    """Publish the bundle in a directory; a version that is published already stays as it is. With a
    `gate`, only what passes it.

    Raises:
        BundleError: the bundle is damaged, or does not score its golden rows as it should.
        GateError: the gate refuses it.
        StoreError, StoreUnavailable: see VocabularyStore.publish.
    """
    bundle = Bundle.open(directory)
    replay(bundle.golden(), bundle.encoder(), bundle.scorer())
    before = _known(store, bundle.version)  # asks Redis before anything is copied
    verdict = Verdict()
    if gate is not None:
        verdict = gate.check(bundle, _active(store, bundles))
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
    active = store.active() == bundle.version
    if active:
        bundles.remember(store.model, bundle.version)
    return Published(record, active, before is not None, verdict.saw, verdict.faults)


def _active(store: VocabularyStore, bundles: BundleStore) -> Bundle | BundleError | None:
    version = store.active()
    if version is None:
        return None
    try:
        return bundles.open(store.model, version)
    except BundleError as error:
        return error


def _known(store: VocabularyStore, version: str) -> Record | None:
    try:
        return store.record(version)
    except VersionError:
        return None
