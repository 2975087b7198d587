"""Traces on disk: the next process traces no structure anew, and a damaged file harms nobody."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fit_calls import FAST, fit, write_csv
from model.nets import NetSizes, build
from model.nets.graphs import PredictGraph
from tiny import TINY_SCHEMA, tiny_rows
from training.export import kept_traces, tracing
from training.export.tracing import trace

WHOLE = {"ids": (3, 4), "values": (3, 4)}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was traced anew, and not found."""
    made: list[object] = []
    real = tracing._trace

    def noted(module: Any, *rest: Any) -> onnx.ModelProto:
        made.append(module)
        return real(module, *rest)

    monkeypatch.setattr(tracing, "_trace", noted)
    return made


def graph(monkeypatch: pytest.MonkeyPatch, embedding: int = 4, seed: int = 1) -> Any:
    """The graph of the scores of FM as a new process makes it, and its logits of three rows."""
    monkeypatch.setattr(tracing, "_traced", {})
    torch.manual_seed(seed)
    net = build("fm", 20, (0, 1, 1, 2), NetSizes(embedding=embedding, init_std=0.5)).eval()
    made = trace(PredictGraph(net, None), WHOLE, ["logit"])
    ids, values = np.arange(12).reshape(3, 4), np.ones((3, 4), np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    with torch.no_grad():
        expected = net(torch.from_numpy(ids), torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(
        session.run(None, {"ids": ids, "values": values})[0], expected, atol=1e-6
    )
    return made


def files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


def test_a_process_finds_what_another_one_has_traced(
    monkeypatch: pytest.MonkeyPatch, traced: list[object], home: Path
) -> None:
    first, again = graph(monkeypatch), graph(monkeypatch)
    graph(monkeypatch, seed=2)
    assert first == again
    assert len(traced) == len(files(home)) == 1
    graph(monkeypatch, embedding=5)
    assert len(traced) == len(files(home)) == 2


def test_a_file_holds_no_weights(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    graph(monkeypatch)
    (file,) = files(home)
    kept = onnx.ModelProto.FromString(file.read_bytes()[kept_traces.DIGEST :])
    weights = [t for t in kept.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert weights
    assert not any(tensor.raw_data or tensor.float_data for tensor in weights)


@pytest.mark.parametrize("left", [0, 31, 32, 500])
def test_a_damaged_file_is_traced_anew_and_replaced(
    monkeypatch: pytest.MonkeyPatch, traced: list[object], home: Path, left: int
) -> None:
    graph(monkeypatch)
    (file,) = files(home)
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    graph(monkeypatch)
    assert len(traced) == 2
    assert file.read_bytes() == whole


def test_a_file_with_other_bits_is_traced_anew(
    monkeypatch: pytest.MonkeyPatch, traced: list[object], home: Path
) -> None:
    graph(monkeypatch)
    (file,) = files(home)
    file.write_bytes(file.read_bytes().replace(b"MatMul", b"MatMux").replace(b"Mul", b"Add"))
    graph(monkeypatch)
    assert len(traced) == 2


def test_other_code_traces_anew(monkeypatch: pytest.MonkeyPatch, traced: list[object]) -> None:
    graph(monkeypatch)
    monkeypatch.setattr(kept_traces, "_code", lambda: "other")
    graph(monkeypatch)
    assert len(traced) == 2


def test_without_a_place_to_keep_it_a_structure_is_traced(
    monkeypatch: pytest.MonkeyPatch, traced: list[object], home: Path
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))  # no folder can be made there
    graph(monkeypatch)
    graph(monkeypatch)
    assert len(traced) == 2


def test_the_oldest_files_make_room(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(kept_traces, "KEPT", 2)
    for embedding in (2, 3, 4):
        graph(monkeypatch, embedding=embedding)
    assert len(files(home)) == 2


def test_a_fit_whose_graphs_are_kept_does_not_import_torch_s_compiler(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_traced", {})  # of other tests, which are kept elsewhere
    write_csv(home / "log.csv", tiny_rows(300))
    (home / "schema.toml").write_text(TINY_SCHEMA)
    (home / "fast.toml").write_text(f"kernels = false\n{FAST}")
    assert fit(home, "--net", "afm") == 0
    asked = "import sys; from training.cli import main; assert main(sys.argv[1:]) == 0; "
    said = f"{asked}print('torch._dynamo' in sys.modules)"
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml", "--net", "afm"]
    given = map(str, ["fit", home / "log.csv", *files, "--out", home / "second"])
    command = [sys.executable, "-c", said, *given]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.endswith("\nFalse\n"), ended
