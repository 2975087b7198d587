"""`afm-train fit`: logs and a schema in, a bundle out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle.write import new_bundle
from model.manifest import Manifest
from model.schema import Schema
from training import group
from training.config import Config
from training.cores import one_core_an_operation
from training.data.log import Log
from training.data.parts import sample
from training.data.schema_text import schema_text
from training.export.pack import pack
from training.fit.beginnings import Beginning, FromBundle, FromScratch
from training.fit.findings import Findings, findings_of
from training.fit.material import Material, Streamed, material_of, streamed_material
from training.fit.step.watcher import Epoch, Watcher
from training.fit.steps import Steps, Trained
from training.state.adam_moments import Moments, moments_path
from training.state.checkpoint import Checkpoint, CheckpointOptions, checkpoint_path, digest
from training.state.warm_start import WarmStart


@dataclass(frozen=True)
class Fitted:
    """The result of a fit; `notes`: what is to be said of it, a line each."""

    manifest: Manifest
    epochs: list[Epoch]
    parity: float  # largest difference of a logit between torch and onnxruntime
    interrupted: bool
    notes: Sequence[str] = ()


def fit(
    log: Log,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    watcher: Watcher,
    start: WarmStart | None = None,
    checkpointing: CheckpointOptions | None = None,
    *,
    keep_optimiser: bool = False,
) -> Fitted:
    """Fit a net and write its bundle. The same seed and data give the same weights, bit for bit, on
    one machine.

    Args:
        log: the rows to train on; where `valid` is None, a part of them is held out.
        valid: the rows that choose the epoch and the calibration.
        test: rows that the fitted net is judged on.
        schema: the fields of the logs.
        config: the net and its steps.
        out: the directory of the bundle, which must not exist.
        seed: of the net and the order of the rows.
        watcher: is called with the progress.
        start: the bundle to continue from.
        checkpointing: how the state of the fit is kept, so that a killed fit can be resumed.
        keep_optimiser: whether Adam's moments are written beside the bundle.

    Raises:
        ConfigError: a rate of negatives for a task that has none, or `start` is of another net, or
            the checkpoint of another fit.
        DataError: a log that cannot be trained on.
        BundleError: `out` exists or cannot be written, or what is kept beside it, or `start` is of
            another schema.
        ParityError: the graphs do not score as the net does; nothing is written.
    """
    if start is not None:
        start.check(schema, config)
    beginning: Beginning = FromScratch() if start is None else FromBundle(start)
    stages = Stages(beginning, config, seed, watcher, keep_optimiser)
    return stages.all(
        lambda: material_of(beginning, log, valid, test, schema, config, seed), out, checkpointing
    )


def fit_streamed(
    log: Streamed,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    watcher: Watcher,
    start: WarmStart | None = None,
    checkpointing: CheckpointOptions | None = None,
    *,
    keep_optimiser: bool = False,
    one_pass: bool = False,
) -> Fitted:
    """Fit a net to a log that need not fit into memory; the other parameters, and what is raised,
    are those of `fit`. `one_pass`: in one epoch in the order of the log, see
    `training.fit.step.progressive`.
    """
    if start is not None:
        start.check(schema, config)
    beginning: Beginning = FromScratch() if start is None else FromBundle(start)
    stages = Stages(beginning, config, seed, watcher, keep_optimiser, one_pass)

    def material() -> Material:
        encoded = log.encoded(schema, config, seed, start, holds_out=valid is None)
        how = config, seed, log.readers
        return streamed_material(encoded, valid, test, *how, start, one_pass=one_pass)

    return stages.all(material, out, checkpointing)


def fit_beside(
    log: Log | Streamed,
    valid: Log | None,
    test: Log | None,
    schema: Schema,
    config: Config,
    out: Path,
    seed: int,
    start: WarmStart | None = None,
    *,
    keep_optimiser: bool = False,
) -> None:
    """Work on the fit of another process of the group, see `training.group`: the same steps
    from the same checkpoint, and nothing is written. The parameters are those of `fit`; that
    process checks `start`.
    """
    beginning: Beginning = FromScratch() if start is None else FromBundle(start)
    stages = Stages(beginning, config, seed, Watcher(), keep_optimiser)
    if isinstance(log, Log):
        material = material_of(beginning, log, valid, test, schema, config, seed)
    else:
        encoded = log.encoded(schema, config, seed, start, holds_out=valid is None)
        material = streamed_material(encoded, valid, test, config, seed, log.readers, start)
    resumed = CheckpointOptions(resume=True, seconds=math.inf)  # and never written
    checkpoint = Checkpoint(checkpoint_path(out), stages.inputs(material), resumed)
    stages.train(material, checkpoint, stages.moments(material))
    group.leave()


@dataclass(frozen=True)
class Stages:
    """The stages of a fit, in their order; the fields are the parameters of `fit`."""

    beginning: Beginning
    config: Config
    seed: int
    watcher: Watcher
    keep_optimiser: bool
    one_pass: bool = False

    def all(
        self,
        material: Callable[[], Material],
        out: Path,
        checkpointing: CheckpointOptions | None,
    ) -> Fitted:
        """All stages, one after the other; see `fit`."""
        with new_bundle(out) as directory:  # first: an `out` that exists must not cost a fit
            made = material()
            checkpoint = None
            if checkpointing is not None:
                inputs = self.inputs(made)
                checkpoint = Checkpoint(checkpoint_path(out), inputs, checkpointing)
            moments = self.moments(made)
            trained = self.train(made, checkpoint, moments)
            group.leave()  # what follows is one process's work
            findings = findings_of(
                trained, made, self.beginning, self.config, self.seed, self.watcher
            )
            manifest, parity = self.pack(directory, made, trained, findings)
        if checkpoint is not None:
            checkpoint.remove()
        notes = findings.notes + self.leave_moments(moments, out, manifest.version)
        return Fitted(manifest, trained.epochs, parity, trained.interrupted, notes)

    def inputs(self, material: Material) -> dict[str, str]:
        """What decides how the fit goes: a checkpoint of other inputs is not resumed."""
        kept, given = self.keep_optimiser, self.beginning.moments_given
        return {
            "schema": schema_text(material.schema),
            "configuration": self.config.model_dump_json(),
            "seed": str(self.seed),
            "bundle to start from": self.beginning.name,
            "log": digest(material.rows.seen, material.rows.held_out),
            "use of the optimiser": f"kept {kept}, continued {given}",
            "order of the rows": "the log's" if self.one_pass else "by chance",
        }

    def moments(self, material: Material) -> Moments | None:
        """Adam's moments: those to continue with, or new ones where they are kept."""
        given = self.beginning.moments(material.vocabularies)
        return given or (Moments() if self.keep_optimiser else None)

    @one_core_an_operation()
    def train(
        self, material: Material, checkpoint: Checkpoint | None, moments: Moments | None
    ) -> Trained:
        """Run the steps, after the warnings, which come while there is time to end the fit."""
        for line in material.warnings:
            self.watcher.warned(line)
        rows, objective = material.rows, material.parts.objective
        of_rows = (material.encoder, rows.seen, rows.held_out, self.watcher, objective)
        steps = Steps(self.config, *of_rows, checkpoint, moments, self.one_pass)
        return self.beginning.train(steps, material.vocabularies)

    def pack(
        self, directory: Path, material: Material, trained: Trained, findings: Findings
    ) -> tuple[Manifest, float]:
        """Write the bundle; returns its manifest and the parity reached."""
        self.watcher.stage("graphs, metrics and report")
        valid, count = material.parts.valid, self.config.validation_rows
        return pack(
            directory,
            trained.net,
            self.config.net,
            material.vocabularies,
            material.encoder,
            findings.calibration,
            material.rows.parts,
            findings.training,
            material.rows.seen,
            sample(valid, count, self.seed) if count else None,
            [*material.warnings, *findings.warnings],
            self.beginning.held_out(valid.held_out),
        )

    def leave_moments(self, moments: Moments | None, out: Path, version: str) -> list[str]:
        """Write Adam's moments beside the bundle where they are kept; returns what to say of it."""
        if not self.keep_optimiser or moments is None or not moments.states:
            return []
        moments.write(moments_path(out), version)
        return [f"optimiser: {moments_path(out)}"]
