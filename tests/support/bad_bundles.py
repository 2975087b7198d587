"""Bundles broken in every way that we know of, each with the code and the reason of its refusal."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from altered import change_graph, reseal, scale_output
from model.bundle.bundle import Bundle
from model.manifest import FORMAT
from service.store.bundle_store import BundleStore
from service.store.publication import Publication
from service.store.records import Record
from service.store.version_store import VersionStore


def byte_flipped(bad: Path) -> None:
    data = bytearray((bad / "weights.bin").read_bytes())
    data[5] ^= 1
    (bad / "weights.bin").write_bytes(data)


def file_missing(bad: Path) -> None:
    (bad / "explain.onnx").unlink()


def extra_file(bad: Path) -> None:
    (bad / "model.pkl").write_bytes(b"\x80\x04")


def wrong_hash(bad: Path) -> None:
    body = json.loads((bad / "manifest.json").read_text())
    body["files"]["golden.jsonl"]["sha256"] = "0" * 64
    (bad / "manifest.json").write_text(json.dumps(body))


def extra_field(bad: Path) -> None:
    with (bad / "schema.toml").open("a") as schema:
        schema.write('[fields.more]\nkind = "categorical"\n')
    reseal(bad)


def removed_field(bad: Path) -> None:
    schema = bad / "schema.toml"
    before, _, _ = schema.read_text().partition("[fields.price]")
    schema.write_text(before)
    reseal(bad)


def field_removed_with_its_vocabulary(bad: Path) -> None:
    (bad / "vocabulary" / "price.json").unlink()
    removed_field(bad)


def unknown_operator(bad: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        graph.node[0].op_type = "Teleport"

    change_graph(bad / "rank.onnx", change)
    reseal(bad)


def nan_weights(bad: Path) -> None:
    weights = np.fromfile(bad / "weights.bin", dtype=np.float32)
    weights[3] = np.nan
    weights.tofile(bad / "weights.bin")
    reseal(bad)


def half_a_number(bad: Path) -> None:
    with (bad / "weights.bin").open("ab") as weights:
        weights.write(b"\0")
    reseal(bad)


def nan_in_a_graph(bad: Path) -> None:
    scale_output(bad / "explain.onnx", float("nan"))
    reseal(bad)


def index_beyond_the_table(bad: Path) -> None:
    path = bad / "vocabulary" / "ad.json"
    body = json.loads(path.read_text())
    body["values"].append("one more")
    path.write_text(json.dumps(body))
    dimensions = json.loads((bad / "manifest.json").read_text())["dimensions"]
    reseal(bad, dimensions={**dimensions, "rows": dimensions["rows"] + 1})


def external_data_outside(bad: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        table = next(t for t in graph.initializer if t.external_data)
        where = next(entry for entry in table.external_data if entry.key == "location")
        where.value = "../../../weights.bin"

    shutil.copyfile(bad / "weights.bin", bad.parents[2] / "weights.bin")
    change_graph(bad / "explain.onnx", change)
    reseal(bad)


def hard_link(bad: Path) -> None:
    os.link(bad / "predict.onnx", bad.parents[1] / "elsewhere")


def symbolic_link(bad: Path) -> None:
    (bad / "weights.bin").rename(bad.parents[1] / "elsewhere")
    (bad / "weights.bin").symlink_to(bad.parents[1] / "elsewhere")


def newer_format(bad: Path) -> None:
    reseal(bad, format=FORMAT + 1)


def golden_rows_that_differ(bad: Path) -> None:
    lines = [json.loads(line) for line in (bad / "golden.jsonl").read_text().splitlines()]
    lines[-1]["probabilities"][0] += 1e-3
    (bad / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reseal(bad)


def rank_graph_that_differs(bad: Path) -> None:
    scale_output(bad / "rank.onnx", 1.01)
    reseal(bad)


def explain_graph_that_differs(bad: Path) -> None:
    scale_output(bad / "explain.onnx", 1.01)
    reseal(bad)


def another_version(bad: Path) -> None:
    reseal(bad, version="v2")


def nothing_there(bad: Path) -> None:
    shutil.rmtree(bad)


def missing_vocabulary(client: Any, key: str) -> None:
    client.hdel(key, "ad")


def changed_vocabulary(client: Any, key: str) -> None:
    client.hset(key, "ad", client.hget(key, "ad").replace(b"a1", b"a2"))


IN_THE_STORE = [
    (byte_flipped, "damaged", "weights.bin: damaged"),
    (file_missing, "missing", "explain.onnx: missing"),
    (extra_file, "extra_file", "model.pkl: the manifest does not name it"),
    (wrong_hash, "damaged", "golden.jsonl: damaged"),
    (extra_field, "fields", "lacks vocabulary/more.json"),
    (removed_field, "fields", "has vocabulary/price.json"),
    (field_removed_with_its_vocabulary, "dimensions", "slots"),
    (unknown_operator, "graph", "rank.onnx: onnxruntime refuses the graph"),
    (nan_weights, "weights", "weights.bin: a weight that is not finite"),
    (half_a_number, "weights", "weights.bin: not a file of float32"),
    (nan_in_a_graph, "golden", "explain.onnx: differs from predict.onnx by nan"),
    (index_beyond_the_table, "dimensions", "ads.onnx: a table of"),
    (external_data_outside, "outside", "explain.onnx: reads '../../../weights.bin'"),
    (hard_link, "link", "predict.onnx: a hard link"),
    (symbolic_link, "link", "weights.bin: a symbolic link"),
    (newer_format, "format", f"bundle format {FORMAT + 1}"),
    (golden_rows_that_differ, "golden", "a probability differs by 0.001"),
    (rank_graph_that_differs, "golden", "rank.onnx: differs from predict.onnx"),
    (explain_graph_that_differs, "golden", "explain.onnx: differs from predict.onnx"),
    (another_version, "manifest", "holds version 'v2'"),
    (nothing_there, "missing", "not a bundle"),
]
IN_REDIS = [
    (missing_vocabulary, "vocabulary", "vocabulary of 'ad' in Redis: missing"),
    (changed_vocabulary, "vocabulary", "vocabulary of 'ad' in Redis: its sha256"),
]


def put(
    store: VersionStore,
    bundles: BundleStore,
    bundle: Bundle,
    version: str,
    harm: Callable[[Path], None] = lambda _: None,
) -> None:
    """Into a `store` of vocabularies and a `bundles` store as it is, unlooked at: not active."""
    place = bundles._root / store.model / version
    shutil.copytree(bundle.directory, place)
    if version != bundle.version:
        reseal(place, version=version)
    harm(place)
    facts: dict[str, Any] = {"net": "afm", "created": "2026-01-01", "published": "2026-01-02"}
    record = Record(version=version, bundle=f"{store.model}/{version}", **facts)
    Publication(store).publish(record, bundle.read_vocabulary_bytes(), activate=False)
