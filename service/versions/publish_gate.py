"""The gate: a bundle against the active one on the same labelled rows, before it is published.

Both score the raw rows through their own encoder, as they would be served. The bundle is refused
when the paired bootstrap says that it is worse, or when its probabilities are off as a whole.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.errors import BundleError, InputError
from model.metrics.bootstrap import Resampled, differences, intervals, resample
from model.metrics.metrics import JUDGED_BY, is_loss
from service.errors import GateError

RESAMPLES = 500
SEED = 1


@dataclass
class Verdict:
    """What the gate `saw`, a line each, and the `faults` among it that stand against the bundle."""

    saw: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def against(self, line: str) -> None:
        """Seen, and a fault."""
        self.saw.append(line)
        self.faults.append(line)


@dataclass(frozen=True)
class Gate:
    """`calibration`: mean probability over click rate must lie within 1 / calibration and
    calibration. `rows`: a file of labelled rows to compare on; none means the bundle's own held-out
    ones. `force`: say what is wrong, and let it pass.
    """

    calibration: float = 1.25
    rows: Path | None = None
    force: bool = False

    def check(self, bundle: Bundle, active: Bundle | BundleError | None) -> Verdict:
        """Compare a bundle with the active one, or say why it cannot be opened.

        Raises:
            BundleError: the file of rows cannot be used.
            GateError: the bundle is refused, and not forced.
        """
        verdict = self._verdict(bundle, active)
        again = isinstance(active, Bundle) and active.version == bundle.version
        if bundle.manifest.training.get("untrained") and not again:
            verdict.against("the net is untrained: no epoch of its fit was better than the start")
        if verdict.faults and not self.force:
            raise GateError(
                f"{bundle.directory}: refused: {'; '.join(verdict.faults)} (--force publishes it)"
            )
        return verdict

    def _verdict(self, bundle: Bundle, active: Bundle | BundleError | None) -> Verdict:
        verdict = Verdict()
        if isinstance(active, Bundle) and active.version == bundle.version:
            verdict.saw.append("not compared: it is the active version")
            return verdict
        if isinstance(active, Bundle) and active.manifest.task != bundle.manifest.task:
            verdict.against(
                f"task {bundle.manifest.task}, the active version {active.version} is of task "
                f"{active.manifest.task}"
            )
            active = None
        rows = bundle.validation() if self.rows is None else _read(self.rows)
        if rows is None:
            verdict.saw.append("not compared: the bundle holds no validation rows; give --on FILE")
            return verdict
        try:
            ours = _resampled(bundle, rows)
        except InputError as error:
            raise BundleError(f"{rows.source}: row {_row(error)}: {error}") from error
        if bundle.manifest.task == "click":
            self._judge_calibration(verdict, ours, len(rows))
        if isinstance(active, Bundle):
            _compare(verdict, active, ours, rows)
        elif isinstance(active, BundleError):
            verdict.saw.append(f"not compared: the active version cannot be opened: {active}")
        return verdict

    def _judge_calibration(self, verdict: Verdict, ours: Resampled, rows: int) -> None:
        ratio, interval = ours.whole["calibration_ratio"], intervals(ours)["calibration_ratio"]
        if np.isnan(ratio) or interval is None:
            verdict.saw.append(f"calibration: not known, too few clicks in {rows} rows")
            return
        low, high = 1 / self.calibration, self.calibration
        line = (
            f"calibration: mean probability is {ratio:.3f} of the click rate "
            f"(95 %: {interval[0]:.3f} to {interval[1]:.3f}, {rows} rows)"
        )
        # outside by more than the luck of few clicks
        if not low <= ratio <= high and not interval[0] <= 1 <= interval[1]:
            verdict.against(f"{line}, allowed is {low:.3f} to {high:.3f}")
        else:
            verdict.saw.append(line)


def _compare(verdict: Verdict, active: Bundle, ours: Resampled, rows: LabelledRows) -> None:
    name = JUDGED_BY[active.manifest.task]
    try:
        theirs = _resampled(active, rows)
    except InputError as error:
        verdict.saw.append(
            f"not compared: the active version {active.version} cannot read row {_row(error)} of "
            f"{rows.source}: {error}"
        )
        return
    found = differences([theirs], [ours])[name]
    if found is None:
        verdict.saw.append(f"not compared: {name} is not defined on {rows.source}")
        return
    low, high = found.interval
    line = (
        f"{name} {ours.whole[name]:.5f}, of the active version {active.version} "
        f"{theirs.whole[name]:.5f}: {found.value:+.5f} (95 %: {low:+.5f} to {high:+.5f}, "
        f"{len(rows)} rows)"
    )
    worse = found.significant and (found.value > 0) == is_loss(name)
    if worse:
        verdict.against(f"worse than the active version: {line}")
    else:
        verdict.saw.append(line)
    if strange := sorted(
        {name for row in rows.rows for name in row} - set(active.schema.sources.values())
    ):
        verdict.saw.append(f"the active version does not know the field {', '.join(strange)}")


def _resampled(bundle: Bundle, rows: LabelledRows) -> Resampled:
    predictions: NDArray[np.float32] = (
        bundle.scorer().predict(bundle.encoder().encode(rows.rows)).predictions
    )
    return resample(
        rows.labels,
        predictions,
        rows.weights,
        rows.group,
        task=bundle.manifest.task,
        resamples=RESAMPLES,
        seed=SEED,
    )


def _read(path: Path) -> LabelledRows:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    return LabelledRows.parse(data, str(path))


def _row(error: InputError) -> str:
    return "?" if error.row is None else str(error.row + 1)
