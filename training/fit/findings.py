"""What is found of a trained net on the rows held out: its calibration, and how it compares with
the net that its last step started from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.manifest import Calibration
from training.config import Config
from training.data.examples import EncodedRows
from training.evaluation import cautions
from training.evaluation.baseline import against_baseline, baseline_words
from training.fit.beginnings import Beginning
from training.fit.calibration import apply, calibrate
from training.fit.material import Material
from training.fit.step.logits import logits
from training.fit.step.watcher import Watcher
from training.fit.steps import Trained


@dataclass(frozen=True)
class Findings:
    """`calibration`: None for a task without probabilities. `training`: what the manifest says of
    the fit. `notes`: a line each for people; `warnings` likewise, of the epochs.
    """

    calibration: Calibration | None
    training: dict[str, Any]
    notes: list[str]
    warnings: list[str]


def findings_of(
    trained: Trained,
    material: Material,
    beginning: Beginning,
    config: Config,
    seed: int,
    watcher: Watcher,
) -> Findings:
    """Calibrate a net, compare it with what its last step started from, and describe its fit."""
    rows = material.rows
    config = config.settled(len(rows.seen), len(material.schema.fields), trained.step)
    training: dict[str, Any] = {
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "criterion": material.parts.objective.criterion,
        "epochs": [epoch.facts() for epoch in trained.epochs],
    }
    warnings = cautions.of_epochs(training["epochs"], from_scratch=beginning.is_new)
    for line in warnings:
        watcher.warned(line)
    if beginning.is_new and not any(epoch.best for epoch in trained.epochs):
        training["untrained"] = True
    watcher.stage("calibration, and the comparison with what its last step started from")
    last = logits(trained.net, rows.held_out)
    calibration, notes = None, []
    if material.schema.task == "click":
        calibration, training["calibration"] = _calibration(last, rows.held_out, config, seed)
    if trained.first is not None and config.baseline:
        compared = _baseline(beginning, trained, calibration, last, material, config, seed)
        if compared is not None:
            training["baseline"] = compared
            notes.append(baseline_words(config.net, compared))
    training |= beginning.facts(material.parts.train, material.replayed, material.vocabularies)
    return Findings(calibration, training, notes, warnings)


def _baseline(
    beginning: Beginning,
    trained: Trained,
    calibration: Calibration | None,
    last: NDArray[np.float32],
    material: Material,
    config: Config,
    seed: int,
) -> dict[str, Any] | None:
    # the net against what its last step began from, each as it is served: a bundle answers as it is
    # calibrated, a step's net as it would have been calibrated on these rows
    assert trained.first is not None  # noqa: S101  its caller looked
    first, rows = trained.first, material.rows
    other = None
    if calibration is not None:  # a task without probabilities has none
        other = beginning.served_by(lambda: _calibration(first, rows.held_out, config, seed)[0])
    served = (_served(other, first), _served(calibration, last))
    named = beginning.baseline(trained, config)
    return against_baseline(named, *served, rows.parts["valid"][1], material.schema.task)


def _calibration(
    scores: NDArray[np.float32], valid: EncodedRows, config: Config, seed: int
) -> tuple[Calibration, dict[str, object]]:
    # the function, and what the manifest says of its choice
    rate = config.negatives_rate * config.negatives_kept
    found = calibrate(
        scores.astype(np.float64),
        valid.labels.double().numpy(),
        valid.weights.double().numpy(),
        config.calibration,
        rate,
        seed,
    )
    return found.calibration, {"kind": found.kind, "cross_validated_logloss": dict(found.losses)}


def _served(calibration: Calibration | None, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    # the predictions that a net of these logits is answered with
    wide = scores.astype(np.float64)
    if calibration is None:
        return wide
    served: NDArray[np.float64] = 1 / (1 + np.exp(-apply(calibration, wide)))
    return served
