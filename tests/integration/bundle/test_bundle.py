"""A bundle is whole or refused: each kind of damage on a copy of a real one."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from model.bundle.bundle import Bundle
from model.bundle.files import vocabulary_file
from model.bundle.golden import GoldenCase, replay
from model.bundle.write import new_bundle
from model.errors import BundleError
from model.manifest import FORMAT
from model.schema import Schema
from narrowing import not_none


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Any:
    target = tmp_path / "copy"
    shutil.copytree(tiny_bundle.directory, target)
    return target


def reseal(directory: Any, **changes: Any) -> None:
    """Make the manifest agree with the files again, so that only the deeper checks can object."""
    path = directory / "manifest.json"
    body = json.loads(path.read_text())
    body["files"] = {
        str(file.relative_to(directory)): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "size": file.stat().st_size,
        }
        for file in directory.rglob("*")
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(body | changes))


def refused(directory: Any, says: Any) -> None:
    with pytest.raises(BundleError, match=says) as caught:
        Bundle.open(directory)
    assert "\n" not in str(caught.value)


def test_a_whole_bundle_opens(copy: Any, tiny_schema: Schema) -> None:
    bundle = Bundle.open(copy)
    assert bundle.schema == tiny_schema
    assert bundle.manifest.net == "afm"
    assert bundle.version == bundle.manifest.version
    assert list(bundle.read_vocabularies()) == list(tiny_schema.fields)


def test_each_vocabularys_digest_is_that_of_its_bytes(copy: Any) -> None:
    bundle = Bundle.open(copy)
    for field, data in bundle.read_vocabulary_bytes().items():
        assert hashlib.sha256(data).hexdigest() == bundle.vocabulary_sha256(field)


@pytest.mark.parametrize(
    "name",
    [
        "predict.onnx",
        "explain.onnx",
        "weights.bin",
        "schema.toml",
        "golden.jsonl",
        "vocabulary/device.json",
    ],
)
def test_a_changed_byte_is_found_in_every_file(copy: Any, name: str) -> None:
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(copy, f"{name}: damaged")


def test_a_file_that_is_too_short_is_named(copy: Any) -> None:
    (copy / "weights.bin").write_bytes((copy / "weights.bin").read_bytes()[:-1])
    refused(copy, "weights.bin: .* bytes, the manifest says")


@pytest.mark.parametrize("name", ["predict.onnx", "vocabulary/ad.json", "manifest.json"])
def test_a_missing_file_is_named(copy: Any, name: str) -> None:
    (copy / name).unlink()
    refused(copy, f"{name}: missing")


def test_a_file_that_the_manifest_does_not_name_is_refused(copy: Any) -> None:
    (copy / "extra.bin").write_bytes(b"")
    refused(copy, "extra.bin: the manifest does not name it")


def test_a_symbolic_link_is_refused_also_when_it_leads_to_the_right_bytes(
    copy: Any, tiny_bundle: Bundle
) -> None:
    (copy / "weights.bin").unlink()
    (copy / "weights.bin").symlink_to(tiny_bundle.directory / "weights.bin")
    refused(copy, "weights.bin: a symbolic link")


def test_an_extra_link_is_refused(copy: Any) -> None:
    (copy / "vocabulary" / "more.json").symlink_to("device.json")
    refused(copy, "more.json: the manifest does not name it")


def test_a_linked_directory_is_refused(copy: Any, tiny_bundle: Bundle) -> None:
    shutil.rmtree(copy / "vocabulary")
    (copy / "vocabulary").symlink_to(tiny_bundle.directory / "vocabulary")
    refused(copy, "vocabulary: ")


def test_a_hard_link_is_refused(copy: Any, tmp_path: Path) -> None:
    os.link(copy / "weights.bin", tmp_path / "elsewhere")
    refused(copy, "weights.bin: a hard link")


def test_a_pipe_is_refused_without_waiting_for_it(copy: Any) -> None:
    (copy / "golden.jsonl").unlink()
    os.mkfifo(copy / "golden.jsonl")
    refused(copy, "golden.jsonl: not a plain file")


@pytest.mark.parametrize(
    "name", ["../outside.json", "vocabulary/../../x.json", "model.pkl", "/etc/passwd"]
)
def test_a_manifest_that_names_what_no_bundle_has_is_refused(copy: Any, name: str) -> None:
    body = json.loads((copy / "manifest.json").read_text())
    body["files"][name] = {"sha256": "0" * 64, "size": 0}
    (copy / "manifest.json").write_text(json.dumps(body))
    refused(copy, "which no bundle has")


@pytest.mark.parametrize("version", [FORMAT + 1, 0, None, "1"])
def test_another_format_version_is_refused(copy: Any, version: Any) -> None:
    reseal(copy, format=version)
    refused(copy, f"bundle format {version!r}, this version reads {FORMAT}")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\x80\x04\x95", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(copy: Any, data: Any) -> None:
    (copy / "manifest.json").write_bytes(data)
    refused(copy, "manifest.json: ")


def test_a_manifest_with_an_unknown_key_is_refused(copy: Any) -> None:
    reseal(copy, colour="red")
    refused(copy, "manifest.json: colour")


def test_a_schema_of_another_digest_is_refused(copy: Any) -> None:
    schema = copy / "schema.toml"
    schema.write_text(schema.read_text().replace("min_count = 2", "min_count = 3"))
    reseal(copy)
    refused(copy, "schema.toml: not the schema that the manifest names")


def test_a_vocabulary_of_another_size_than_the_table_is_refused(copy: Any) -> None:
    path = copy / vocabulary_file("device")
    body = json.loads(path.read_text())
    body["values"].append("one more")
    path.write_text(json.dumps(body))
    reseal(copy)
    refused(copy, "manifest.json: says .* rows")


def test_a_weight_that_is_not_finite_is_refused(copy: Any) -> None:
    weights = np.fromfile(copy / "weights.bin", dtype=np.float32)
    weights[3] = np.nan
    weights.tofile(copy / "weights.bin")
    reseal(copy)
    refused(copy, "weights.bin: a weight that is not finite")


def changed_graph(copy: Any, change: Any) -> None:
    model = onnx.load_model(copy / "predict.onnx", load_external_data=False)
    change(model.graph)
    (copy / "predict.onnx").write_bytes(model.SerializeToString())
    reseal(copy)


def test_a_graph_that_reads_outside_the_directory_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        table = next(t for t in graph.initializer if t.external_data)
        next(entry for entry in table.external_data if entry.key == "location").value = "../x"

    changed_graph(copy, change)
    refused(copy, r"predict.onnx: reads '\.\./x'")


def test_external_data_hidden_in_a_nested_graph_is_found(copy: Any) -> None:
    def change(graph: Any) -> None:
        inner = onnx.helper.make_graph([], "inner", [], [])
        hidden = inner.initializer.add(name="hidden", data_location=onnx.TensorProto.EXTERNAL)
        hidden.external_data.add(key="location", value="/etc/passwd")
        graph.node.append(
            onnx.helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
        )

    changed_graph(copy, change)
    refused(copy, "predict.onnx: reads '/etc/passwd'")


def test_a_table_of_another_size_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        table = next(t for t in graph.initializer if t.name == "net.embedding")
        table.dims[0] -= 1

    changed_graph(copy, change)
    refused(copy, "predict.onnx: a table of .* rows, expected")


def test_bytes_that_are_no_graph_are_refused(copy: Any) -> None:
    (copy / "predict.onnx").write_bytes(b"\x80\x04not a graph")
    reseal(copy)
    refused(copy, "predict.onnx: ")


def test_an_operator_that_onnxruntime_does_not_know_is_refused(copy: Any) -> None:
    def change(graph: Any) -> None:
        graph.node[0].op_type = "Teleport"

    changed_graph(copy, change)
    with pytest.raises(BundleError, match=r"predict\.onnx: onnxruntime refuses the graph"):
        Bundle.open(copy).read_scorer()


def test_golden_rows_that_score_differently_are_refused(copy: Any) -> None:
    bundle = Bundle.open(copy)
    cases = bundle.read_golden()
    replay(cases, bundle.read_encoder(), bundle.read_scorer())
    worse = GoldenCase(
        "moved", cases[0].request, [p + 1e-4 for p in not_none(cases[0].probabilities)]
    )
    with pytest.raises(BundleError, match=r"'moved': a probability differs by 0\.0001"):
        replay([worse], bundle.read_encoder(), bundle.read_scorer())


def test_golden_rows_hold_one_case_of_each_kind(tiny_bundle: Bundle) -> None:
    assert [case.case for case in tiny_bundle.read_golden()] == [
        "real rows",
        "all fields missing",
        "all values unknown",
        "one field given",
    ]


def test_golden_cases_that_do_not_fit_their_request_are_refused(tiny_bundle: Bundle) -> None:
    case = tiny_bundle.read_golden()[0]
    for bad in (
        GoldenCase("short", case.request, not_none(case.probabilities)[:-1]),
        GoldenCase("no rows", {}, []),
        GoldenCase("bad row", {"instances": [{"device": ["x"]}]}, [0.5]),
        GoldenCase("nan", case.request, [float("nan")] * len(not_none(case.probabilities))),
    ):
        with pytest.raises(BundleError, match=bad.case):
            replay([bad], tiny_bundle.read_encoder(), tiny_bundle.read_scorer())


@pytest.mark.parametrize("text", ["", "{}\n", "not json\n"])
def test_a_golden_file_that_is_none_is_refused(copy: Any, text: str) -> None:
    (copy / "golden.jsonl").write_text(text)
    reseal(copy)
    with pytest.raises(BundleError, match=r"golden\.jsonl"):
        Bundle.open(copy).read_golden()


def test_a_bundle_appears_in_one_step_and_leaves_nothing_when_its_making_fails(
    tmp_path: Path,
) -> None:
    out = tmp_path / "deep" / "bundle"

    def failing() -> None:
        with new_bundle(out) as scratch:
            (scratch / "half").write_text("written")
            assert not out.exists()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        failing()
    assert list(out.parent.iterdir()) == []
    with new_bundle(out) as scratch:
        (scratch / "file").write_text("whole")
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def test_an_out_directory_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(BundleError, match="exists already"), new_bundle(tmp_path):
        pass
    assert (tmp_path / "kept").read_text() == "mine"


def test_an_out_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BundleError, match="cannot write there"),
        new_bundle(tmp_path / "file" / "out"),
    ):
        pass


@pytest.mark.parametrize("field", ["a/b", "..", ".", "a.b", "é", "%2F", "x" * 50])
def test_any_field_name_gives_a_plain_file_name_of_its_own(field: Any) -> None:
    path = Path(vocabulary_file(field))
    assert path.parent == Path("vocabulary")
    assert ".." not in path.name
    assert vocabulary_file(field) != vocabulary_file(field + "x")


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none", "none: not a bundle")
