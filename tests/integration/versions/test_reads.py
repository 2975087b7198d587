"""How often one publish reads what it publishes and the active version: large vocabularies and
graphs take seconds each.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.bundle import bundle as bundle_module
from model.bundle.bundle import Bundle
from model.scorer import Scorer
from model.vocabulary import from_bytes
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How often each file of a vocabulary was parsed, and each directory's graphs were loaded."""
    counted: Any = Counter()
    parse, load = from_bytes, Scorer.__init__

    def read(data: Any, source: Any) -> Any:
        counted[source] += 1
        return parse(data, source)

    def init(self: Any, directory: Any, *given: Any) -> None:
        counted[str(directory)] += 1
        load(self, directory, *given)

    monkeypatch.setattr(bundle_module, "from_bytes", read)
    monkeypatch.setattr(Scorer, "__init__", init)
    return counted


@pytest.mark.parametrize("remote_above", [None, 1])
def test_a_publish_reads_the_bundle_and_the_active_version_once(
    remote_above: int | None,
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    reads: Any,
    tmp_path: Path,
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    publish(first.directory, store, bundles)
    reads.clear()
    publish(
        second.directory,
        store,
        bundles,
        gate=PublishGate(force=True),
        remote_fields_above=remote_above,
    )
    stored = tmp_path / "bundles" / "ads"
    by_directory: Any = Counter()
    for source, times in reads.items():
        path = Path(source)
        by_directory[
            path.parents[1] if path.parent.name == "vocabulary" else path, path.suffix
        ] += times
    fields = len(first.schema.fields)
    assert by_directory == {
        (second.directory, ".json"): fields,
        (stored / first.version, ".json"): fields,
        (second.directory, ""): 1,
        (stored / first.version, ""): 1,
    }
