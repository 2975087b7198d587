"""The gate before a publish: what passes, what is refused, what is said. Real Redis and graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from judged_bundles import log, made
from model.bundle.bundle import Bundle
from service.errors import GateError
from service.store.bundle_store import BundleStore
from service.store.version_store import VersionStore
from service.versions.gate.publish_gate import PublishGate
from service.versions.publish import publish
from tiny import TINY_SCHEMA
from training.config import Step


@pytest.fixture(scope="module")
def tenth(home: Path) -> Any:
    """Thinks that nine of ten negatives were left out of the log, which is not so."""
    return made(home / "tenth", negatives_kept=0.1)


def test_a_first_bundle_is_judged_by_its_calibration_alone(
    good: Any, store: VersionStore, bundles: BundleStore
) -> None:
    done = publish(good.directory, store, bundles, gate=PublishGate())
    assert done.active
    assert not done.faults
    (line,) = done.saw
    assert line.startswith("calibration: mean probability is ")
    assert line.endswith(f"{len(good.read_validation())} rows)")
    assert 0.25 < len(good.read_validation()) / 3000 < 0.35


def test_a_better_bundle_passes_and_both_figures_are_named(
    good: Any, constant: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(constant.directory, store, bundles)
    done = publish(good.directory, store, bundles, gate=PublishGate())
    assert store.active() == good.version
    assert not done.faults
    ours = good.manifest.metrics["valid"]["logloss"]
    assert f"logloss {ours:.5f}, of the active version {constant.version} " in done.saw[1]


def test_a_worse_bundle_is_refused_and_nothing_is_changed(
    good: Any, constant: Any, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    publish(good.directory, store, bundles)
    with pytest.raises(
        GateError, match=r"refused: worse than the active .*logloss .*\+0\."
    ) as caught:
        publish(constant.directory, store, bundles, gate=PublishGate())
    assert str(caught.value).count("\n") == 0
    assert good.version in str(caught.value)
    assert store.active() == good.version
    assert [record.version for record in store.versions()] == [good.version]
    assert [path.name for path in (tmp_path / "bundles" / "ads").glob("[!.]*")] == [good.version]


def test_a_worse_bundle_can_be_forced_and_its_faults_are_told(
    good: Any, constant: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(good.directory, store, bundles)
    done = publish(constant.directory, store, bundles, gate=PublishGate(force=True))
    assert store.active() == constant.version
    assert any(fault.startswith("worse than the active version") for fault in done.faults)
    assert set(done.faults) <= set(done.saw)


def test_the_active_version_is_not_compared_with_itself(
    good: Any, store: VersionStore, bundles: BundleStore
) -> None:
    publish(good.directory, store, bundles)
    done = publish(good.directory, store, bundles, gate=PublishGate())
    assert (done.again, done.saw) == (True, ["not compared: it is the active version"])


def test_probabilities_that_are_off_as_a_whole_are_refused(
    tenth: Any, fresh: Any, store: VersionStore, bundles: BundleStore
) -> None:
    with pytest.raises(GateError, match=r"calibration: mean probability is 0\.\d+ of the click"):
        publish(tenth.directory, store, bundles, gate=PublishGate(rows=fresh))
    assert store.active() is None
    # on its own rows, with the weights it was given, there is nothing wrong with it
    assert not publish(tenth.directory, store, bundles, gate=PublishGate()).faults


def test_the_bounds_of_calibration_are_the_settings(
    tenth: Any, fresh: Any, store: VersionStore, bundles: BundleStore
) -> None:
    done = publish(tenth.directory, store, bundles, gate=PublishGate(calibration=100, rows=fresh))
    assert not done.faults


def test_an_active_version_that_cannot_be_opened_does_not_stop_its_successor(
    home: Path, good: Any, store: VersionStore, bundles: BundleStore, tmp_path: Path
) -> None:
    publish(good.directory, store, bundles)
    (tmp_path / "bundles" / "ads" / good.version / "predict.onnx").unlink()
    done = publish(made(home / "other", embedding=3).directory, store, bundles, gate=PublishGate())
    assert done.active
    assert "predict.onnx" in done.saw[-1]
    assert done.saw[-1].startswith("not compared: the active version cannot be opened")


def test_an_untrained_net_is_refused_unless_it_is_forced(
    home: Path, store: VersionStore, bundles: BundleStore
) -> None:
    # so large a step that no epoch is better than the start
    wild = made(home / "wild", fit=Step(epochs=2, learning_rate=1e4))
    assert "was better than the start: the net is untrained" in wild.manifest.warnings[-1]
    with pytest.raises(GateError, match="refused: the net is untrained: no epoch of its fit"):
        publish(wild.directory, store, bundles, gate=PublishGate())
    assert store.active() is None
    assert publish(wild.directory, store, bundles, gate=PublishGate(force=True)).active


def test_a_bundle_of_another_task_is_refused(
    good: Any, make_bundle: Callable[..., Bundle], store: VersionStore, bundles: BundleStore
) -> None:
    publish(good.directory, store, bundles)
    other = make_bundle("fm", task="regression")
    with pytest.raises(GateError, match=r"task regression, the active version .* is of task click"):
        publish(other.directory, store, bundles, gate=PublishGate())


@pytest.mark.parametrize(("task", "figure"), [("regression", "rmse"), ("ranking", "gauc")])
def test_bundles_of_other_tasks_are_compared_by_their_figure(
    make_bundle: Callable[..., Bundle],
    store: VersionStore,
    bundles: BundleStore,
    task: str,
    figure: str,
) -> None:
    first, second = make_bundle("lr", task=task), make_bundle("fm", task=task, seed=2)
    publish(first.directory, store, bundles)
    own, other = publish(second.directory, store, bundles, gate=PublishGate(force=True)).saw[:2]
    assert f"{figure} {second.manifest.metrics['valid'][figure]:.5f}, of the active" in own
    assert f"{first.manifest.metrics['valid'][figure]:.5f}: " in other
    assert "the held-out rows of the active version" in other


def test_an_active_version_with_other_fields_is_compared_and_they_are_named(
    home: Path, good: Any, store: VersionStore, bundles: BundleStore
) -> None:
    narrow = TINY_SCHEMA.replace('[fields.hour]\nkind = "categorical"\nmissing = "absent"\n', "")
    old = made(home / "narrow", narrow, log(schema=narrow))
    publish(old.directory, store, bundles)
    done = publish(good.directory, store, bundles, gate=PublishGate())
    assert done.saw[-1] == "the active version does not know the field hour"


def test_an_active_version_that_cannot_read_the_rows_is_said_to(
    home: Path, good: Any, store: VersionStore, bundles: BundleStore
) -> None:
    numeric = TINY_SCHEMA.replace(
        '[fields.interests]\nkind = "multivalue"\nmax_values = 3\n',
        '[fields.interests]\nkind = "numeric"\n',
    )
    drawn = log(schema=numeric)
    drawn.columns["interests"][:] = [len(cell or []) for cell in drawn.columns["interests"]]
    old = made(home / "numeric", numeric, drawn)
    publish(old.directory, store, bundles)
    done = publish(good.directory, store, bundles, gate=PublishGate())
    assert done.active
    assert any(
        line.startswith(f"not compared: the active version {old.version} cannot read row")
        for line in done.saw
    )


def test_the_command_refuses_with_2_and_force_says_although_what(
    commands: Commands, good: Any, constant: Any, fresh: Any, tenth: Any
) -> None:
    assert commands.publish(good.directory) == good.version
    refused = commands.run("publish", str(constant.directory))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "worse than the active version" in refused.stderr
    assert "--force" in refused.stderr
    for option in ("--no-activate", "--force"):
        done = commands.run("publish", str(constant.directory), option)
        assert done.returncode == 0
        assert "\n  although: worse than the active version" in done.stdout
    bounds = {"AFM_GATE_MAX_CALIBRATION_RATIO": "1.05"}
    on = commands.run("publish", str(tenth.directory), "--on", str(fresh), **bounds)
    assert on.returncode == 2
    assert "allowed is 0.952 to 1.050" in on.stderr
