"""How often one publish reads what it publishes and the active version: large vocabularies and
graphs take seconds each.
"""

from collections import Counter
from pathlib import Path

import pytest

from model.bundle import bundle as bundle_module
from model.scorer import Scorer
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish


@pytest.fixture
def reads(monkeypatch):
    """How often each file of a vocabulary was parsed, and each directory's graphs were loaded."""
    counted = Counter()
    parse, load = bundle_module.from_bytes, Scorer.__init__

    def from_bytes(data, source):
        counted[source] += 1
        return parse(data, source)

    def init(self, directory, *given):
        counted[str(directory)] += 1
        load(self, directory, *given)

    monkeypatch.setattr(bundle_module, "from_bytes", from_bytes)
    monkeypatch.setattr(Scorer, "__init__", init)
    return counted


@pytest.mark.parametrize("remote_above", [None, 1])
def test_a_publish_reads_the_bundle_and_the_active_version_once(
    remote_above, make_bundle, store, bundles, reads, tmp_path
):
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
    by_directory = Counter()
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
