"""Publishing a bundle: verified, scored once as the service will, stored, listed, made active."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model.bundle.golden import replay
from model.bundle.opened import OpenedBundle
from model.errors import BundleError
from model.values.ids import FIRST
from model.values.packed_ids import PackedField, pack
from model.vocabulary import FieldVocabulary, Vocabulary
from service.errors import VersionError
from service.store.bundle_store import BundleStore
from service.store.publication import Publication
from service.store.records import Record
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate, Verdict

# Values of a field from which on its look-up costs about what a dictionary's does (see the table of
# benchmarks/vocabularies.py); a dictionary of so many is made in a tenth of a second.
PACKED_ABOVE = 100_000


@dataclass(frozen=True)
class Published:
    """The result of a publish. `again`: the version had been published before. `saw`: what the gate
    saw, one line each; `faults`: the lines that would have refused the bundle.
    """

    record: Record
    active: bool
    again: bool
    saw: Sequence[str] = ()
    faults: Sequence[str] = ()


def publish(
    directory: Path,
    store: VersionStore,
    bundles: BundleStore,
    *,
    activate: bool = True,
    force: bool = False,
    gate: PublishGate | None = None,
    remote_fields_above: int | None = None,
    packed_above: int = PACKED_ABOVE,
) -> Published:
    """Publish the bundle in a directory; a version that is published already stays as it is.

    Args:
        directory: the bundle.
        store: the versions of the model in Redis.
        bundles: where the bundle is copied to.
        activate: make the version the active one.
        force: as in VersionStore.activate.
        gate: compares the bundle with the active version; None publishes it without comparison.
        remote_fields_above: the values of a context field that has more than so many stay in Redis.
        packed_above: the values of another field that has more than so many are packed.

    Raises:
        BundleError: the bundle is damaged, or does not score its golden rows as it should.
        GateError: the gate refuses it.
        StoreError, StoreUnavailable: see Publication.publish.
    """
    opened = OpenedBundle.open(directory)
    bundle = opened.bundle
    replay(bundle.read_golden(), opened.encoder, opened.scorer)
    before = _known(store, bundle.version)  # asks Redis before anything is copied
    verdict = Verdict()
    if gate is not None:
        verdict = gate.check(opened, _active(store, bundles))
    stored = bundles.add(store.model, bundle, _listed(store))
    record = before or Record(
        version=bundle.version,
        net=bundle.manifest.net,
        created=bundle.manifest.created,
        published=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=bundles.location(store.model, bundle.version),
        metrics=bundle.manifest.metrics,
        live=tuple(_live_fields(opened, remote_fields_above)),
    )
    # written again even if it is known: so a publish also restores what Redis lost
    live = {name: _values(opened.vocabularies[name]) for name in record.live}
    large = _large_fields(opened, packed_above, live)
    held = stored.read_vocabulary_bytes({*live, *large})
    packed = pack(large) if large else b""
    Publication(store).publish(record, held, live, packed, activate=activate, force=force)
    bundles.listed(store.model, bundle.version)
    active = store.active() == bundle.version
    if active:
        bundles.write_note(store.model, bundle.version)
    return Published(record, active, before is not None, verdict.saw, verdict.faults)


def _live_fields(opened: OpenedBundle, above: int | None) -> Iterator[str]:
    if above is None:
        return
    for name, field in opened.bundle.schema.fields.items():
        # ads are cached as they are encoded, so the values of their fields have to be known
        if field.kind == "categorical" and field.role == "context" and field.part is None:
            found = opened.vocabularies[name]
            # words for true and false are known by all words of the field, which are few
            words = isinstance(found, Vocabulary) and not field.as_text and found.words(0)
            if type(found) is Vocabulary and len(found.values) > above and not words:
                yield name


def _large_fields(
    opened: OpenedBundle, above: int, without: Container[str]
) -> dict[str, tuple[Sequence[str], PackedField]]:
    large: dict[str, tuple[Sequence[str], PackedField]] = {}
    for name, found in opened.vocabularies.items():
        if type(found) is Vocabulary and len(found.values) > above and name not in without:
            digest = opened.bundle.vocabulary_sha256(name)
            described = PackedField(len(found.values), found.words(-FIRST), digest)
            large[name] = found.values, described
    return large


def _values(found: FieldVocabulary) -> Sequence[str]:
    assert isinstance(found, Vocabulary)  # noqa: S101  of a live field
    return found.values


def _active(store: VersionStore, bundles: BundleStore) -> OpenedBundle | BundleError | None:
    version = store.active()
    if version is None:
        return None
    try:
        return bundles.open(store.model, version)
    except BundleError as error:
        return error


def _listed(store: VersionStore) -> set[str] | None:
    try:
        return {record.version for record in store.versions()}
    except VersionError:  # one of them cannot be read
        return None


def _known(store: VersionStore, version: str) -> Record | None:
    try:
        return store.record(version)
    except VersionError:
        return None
