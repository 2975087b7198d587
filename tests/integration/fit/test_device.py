"""Where a net is fitted. What needs a CUDA device is skipped where torch finds none."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fit_calls import write_csv
from killed import killed_after
from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from model.errors import ConfigError
from model.nets import NETS, NetSizes, build
from narrowing import not_none
from small_fits import fitted
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import Config, Step
from training.data.examples import Examples
from training.device import Device
from training.fit.step.logits import logits
from training.fit.step.objective import Objective
from training.kernels.passes import PlainPass

CUDA = torch.cuda.is_available()
needs_cuda = pytest.mark.skipif(not CUDA, reason="torch finds no CUDA device")
SIZES = NetSizes(4, 4, 0.5, 2, (8,))
BFLOAT16_SLACK = 0.05  # of the largest slope; a number has 8 bits
SETTINGS = """
embedding = 4
calibration = "none"
[fit]
epochs = 3
batch = 128
learning_rate = 0.01
l2_embedding = 1e-4
dropout = {dropout}
unknown_rate = 0
[attention]
epochs = 2
batch = 128
dropout = {dropout}
unknown_rate = 0
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_csv(tmp_path / "log.csv", tiny_rows(900))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text(SETTINGS.format(dropout=0.0))
    return tmp_path


def arguments(home: Path, out: str, *more: object) -> list[str]:
    settings = "--schema", home / "schema.toml", "--config", home / "config.toml"
    return ["fit", *map(str, [home / "log.csv", *settings, "--out", home / out, *more])]


def weights(home: Path, out: str) -> bytes:
    return (home / out / WEIGHTS).read_bytes()


def rows_of(count: int) -> Examples:
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(50, (count, 4), generator=drawn)
    labels = torch.randint(2, (count,), generator=drawn).float()
    return Examples(ids, torch.ones(count, 4), labels, torch.ones(count), None)


@pytest.mark.parametrize("name", NETS)
def test_no_operation_of_a_net_mixes_devices(name: str) -> None:
    net = build(name, 50, [0, 1, 1, 2], SIZES)
    for dropout in net.dropouts().values():
        dropout.set_rate(0.5)
    net = net.to("meta").train()  # which refuses tensors in memory, and computes nothing
    ids = torch.zeros(6, 4, dtype=torch.int64, device="meta")
    net(ids, torch.ones(6, 4, device="meta")).sum().backward()
    assert all(p.grad is not None and p.grad.is_meta for p in net.parameters())


@pytest.mark.parametrize("name", ["nfm", "afm", "afm+"])
def test_slopes_by_bfloat16_are_near_those_by_float32(name: str) -> None:
    rows, at = rows_of(300), torch.arange(300)
    torch.manual_seed(0)
    net = build(name, 50, [0, 1, 1, 2], SIZES)
    torch.nn.init.normal_(net.get_parameter("h"))  # of 0, attention has no slopes
    found = []
    for bfloat16 in (False, True):
        net.zero_grad()
        device = Device(torch.device("cpu"), bfloat16)
        loss = PlainPass(net, device)(rows.ids, rows.values, Objective().judged(rows, at))
        found.append([torch.tensor(loss), *(not_none(p.grad).clone() for p in net.parameters())])
    differ = False
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert (exact - rounded).abs().max() <= BFLOAT16_SLACK * exact.abs().max()
        differ |= not torch.equal(exact, rounded)
    assert differ


@pytest.mark.skipif(CUDA, reason="torch finds a CUDA device")
def test_a_device_that_is_not_there_is_refused_before_the_log_is_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "log.csv").unlink()
    assert main(arguments(home, "bundle", "--device", "cuda:1")) == 2
    said = capsys.readouterr().err
    assert 'afm-train: device "cuda:1": not found by torch: ' in said
    assert not (home / "bundle").exists()


def test_a_device_of_another_kind_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(home, "bundle", "--device", "tpu")) == 2
    assert "--device tpu: cpu, cuda, or a number with it as cuda:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"precision": "bfloat16"}, 'precision "bfloat16": goes with a CUDA device'),
        ({"device": "cuda", "optimizer": "lazy_adam"}, 'goes with optimizer "adam"'),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Device.of(Config(**settings))


@needs_cuda
@pytest.mark.parametrize("name", NETS)
def test_a_fit_on_a_device_is_the_one_in_memory_up_to_rounding(home: Path, name: str) -> None:
    for out, device in (("memory", "cpu"), ("device", "cuda")):
        assert main(arguments(home, out, "--net", name, "--device", device)) == 0
    there, here = (Bundle.open(home / out).manifest for out in ("device", "memory"))
    assert there.metrics["valid"]["logloss"] == pytest.approx(
        here.metrics["valid"]["logloss"], abs=1e-3
    )
    for one, other in zip(there.training["epochs"], here.training["epochs"], strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-3)


@needs_cuda
@pytest.mark.parametrize("name", ["ffm", "afm+"])
def test_a_fit_on_a_device_is_repeated_and_resumed_to_the_bit(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (home / "config.toml").write_text(SETTINGS.format(dropout=0.3))
    more = "--net", name, "--device", "cuda"
    for out in ("whole", "again"):
        assert main(arguments(home, out, *more)) == 0
    assert weights(home, "again") == weights(home, "whole")
    killed_after(arguments(home, "bundle", *more), 2, monkeypatch)
    assert main(arguments(home, "bundle", "--resume", *more)) == 0
    assert weights(home, "bundle") == weights(home, "whole")


@needs_cuda
def test_scores_of_a_net_on_a_device_are_those_in_memory() -> None:
    rows = rows_of(10_000)
    net = build("afm", 50, [0, 1, 1, 2], SIZES)
    here = logits(net, rows)
    with Device(torch.device("cuda")).holding(net):
        there = logits(net, rows)
    assert abs(here - there).max() < 1e-4
    assert not net.bias.is_cuda


@needs_cuda
@pytest.mark.parametrize("name", ["afm", "nfm"])
def test_a_step_in_bfloat16_gains(name: str) -> None:
    net, epochs, _ = fitted(
        Step(epochs=3, batch=64, learning_rate=0.05),
        name=name,
        device=Device(torch.device("cuda"), bfloat16=True),
    )
    assert min(epoch.valid_loss for epoch in epochs) < 0.69
    assert not net.bias.is_cuda
