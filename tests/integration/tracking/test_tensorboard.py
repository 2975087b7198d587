"""`fit --tensorboard`: the curves as TensorBoard's event files."""

import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from model.bundle.bundle import Bundle
from training.cli import main
from training.fit.fit import Fitted
from training.fit.step.watcher import Epoch
from training.tracking.tracked import tracked


def scalars(folder: Any) -> Any:
    """What the event files of a folder hold: tag -> step -> value."""
    found: dict[Any, Any] = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        while data:  # length, its checksum, an event, its checksum
            (size,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_event_files_have_the_curves_and_the_metrics(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_bundle.manifest
    epochs = [Epoch(**one) for one in manifest.training["epochs"]]
    with tracked(None, tmp_path / "events", "bundle") as tracking:
        for epoch in epochs:
            tracking.watcher.epoch(epoch)
        said = tracking.ended(Fitted(manifest, epochs, 0.0, interrupted=False), tmp_path)
    assert said == []
    assert "fm epoch  1  train loss" in capsys.readouterr().err
    found = scalars(tmp_path / "events")
    assert {epoch.step for epoch in epochs} == {"fm", "afm"}
    for epoch in epochs:
        for name in ("train_loss", "valid_loss", "valid_auc"):
            shown = found[f"{epoch.step}/{name}"][epoch.number]
            assert shown == pytest.approx(getattr(epoch, name), rel=1e-6)
    assert found["valid/auc"][0] == pytest.approx(manifest.metrics["valid"]["auc"])


@pytest.mark.parametrize(
    ("option", "module"), [("--tensorboard", "tensorboardX"), ("--mlflow", "mlflow")]
)
def test_tracker_that_is_not_installed_is_said_before_the_fit(
    log: Path,
    fit_arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    module: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert main([*fit_arguments, option, str(log / "tracked")]) == 2
    said = capsys.readouterr().err
    assert f"{option} needs {module}: pip install 'ctr-afm[{option[2:]}]'" in said
    assert len(said.splitlines()) == 1
    assert not (log / "bundle").exists()


def test_folder_that_cannot_be_written_is_said_before_the_fit(
    log: Path, fit_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (log / "events").write_text("")
    assert main([*fit_arguments, "--tensorboard", str(log / "events")]) == 2
    assert f"--tensorboard {log / 'events'}: " in capsys.readouterr().err
    assert not (log / "bundle").exists()
