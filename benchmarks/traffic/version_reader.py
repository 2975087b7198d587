"""A reader that looks all the time, as workers do, and proves each version that is listed or active
as soon as it appears.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from traffic.background import background

from service.scoring.live_version import make_live
from service.scoring.remote.remote_fields import LiveValues
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore


def verify(store: VersionStore, bundles: BundleStore, model: str, version: str) -> None:
    """Prove a version as a worker does before it goes live.

    Raises:
        AfmError: the version is not whole.
    """
    bundle, record = bundles.open(model, version).bundle, store.record(version)
    values = None
    if record.live:
        # no value is looked up while golden rows are proven
        values = LiveValues(record, bundle.schema, store, None)  # type: ignore[arg-type]  # as above
        golden = [row for case in bundle.read_golden() for row in case.request["instances"]]
        values.learn(record, store, golden)
    make_live(model, bundle, store.vocabularies(version), values=values)


@contextmanager
def version_reader(url: str, bundles: BundleStore, model: str) -> Iterator[set[str]]:
    """Proves versions until the block ends; yields those that were proven so far.

    Raises:
        AssertionError: some were not whole.
    """
    faults: list[tuple[str, Exception]] = []
    proven: set[str] = set()

    def look(stopping: threading.Event) -> None:
        store = VersionStore(url, model, timeout=10)
        while not stopping.is_set():
            listed = {record.version for record in store.versions()} | {store.active()}
            for version in listed - proven - {None}:
                assert version is not None
                try:
                    verify(store, bundles, model, version)
                except Exception as error:
                    faults.append((version, error))
                proven.add(version)
        store.close()

    with background(look):
        yield proven
    assert faults == []
