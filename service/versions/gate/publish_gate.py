"""The gate: a bundle against the active one on the same labelled rows, before it is published.

Both score the raw rows through their own encoder, as they would be served: the rows that the active
version held out, and those that the bundle did. The bundle is refused when the paired bootstrap
says that it is worse by more than a tolerance, when the two sets of rows contradict each other,
when the active version ranks the rows of its log as chance would, when its probabilities are off as
a whole, or when a field has lost its values.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.bundle.opened import OpenedBundle
from model.errors import BundleError, InputError
from model.metrics.bootstrap import Difference, Resampled, differences, intervals
from model.metrics.metrics import JUDGED_BY, is_loss
from service.errors import GateError
from service.versions.gate.fields import emptied_fields, shared_fields
from service.versions.gate.labels import odd_labels
from service.versions.gate.rows import Judge, judge_of
from service.versions.gate.scoring import resampled, skew

ODD = 0.02  # of the figure: so much worse on the one set of rows, and better on the other
SURE = 0.99  # of the intervals: at .95, of the honest days one in 20 would be refused
OWN, ACTIVE_S = "the held-out rows of the bundle", "the held-out rows of the active version"
BOTH = "the rows that both held out"


@dataclass
class Verdict:
    """What the gate `saw`, a line each, and the `faults` among it that stand against the bundle."""

    saw: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def against(self, line: str) -> None:
        """Seen, and a fault."""
        self.saw.append(line)
        self.faults.append(line)


class _Compared(NamedTuple):
    # `worse`: by what share of the active version's figure the bundle is; below 0 it is better.
    # `luck`: how far the interval of this share reaches
    worse: float
    luck: float


@dataclass(frozen=True)
class PublishGate:
    """`calibration`: mean probability over click rate must lie within 1 / calibration and
    calibration. `rows`: a file of labelled rows to compare on; none means what both bundles held
    out. `force`: say what is wrong, and let it pass. `loss`: the share of the active version's
    figure that the bundle may be worse by, beyond the luck of few rows.
    """

    calibration: float = 1.2
    rows: Path | None = None
    force: bool = False
    loss: float = 0.01

    def check(self, new: OpenedBundle, active: OpenedBundle | BundleError | None) -> Verdict:
        """Compare a new bundle with the active one, or say why that cannot be opened.

        Raises:
            BundleError: the file of rows cannot be used.
            GateError: the bundle is refused, and not forced.
        """
        verdict = self._verdict(new, active)
        bundle, again = new.bundle, _is_active(new, active)
        if bundle.manifest.training.get("untrained") and not again:
            verdict.against("the net is untrained: no epoch of its fit was better than the start")
        if verdict.faults and not self.force:
            raise GateError(
                f"{bundle.directory}: refused: {'; '.join(verdict.faults)} (--force publishes it)"
            )
        return verdict

    def _verdict(self, new: OpenedBundle, active: OpenedBundle | BundleError | None) -> Verdict:
        verdict, bundle = Verdict(), new.bundle
        if _is_active(new, active):
            verdict.saw.append("not compared: it is the active version")
            return verdict
        if isinstance(active, OpenedBundle) and not _is_comparable(verdict, bundle, active.bundle):
            active = None
        own = bundle.read_validation() if self.rows is None else _read(self.rows)
        if own is None:
            verdict.saw.append("not compared: the bundle holds no validation rows; give --on FILE")
            return verdict
        if not isinstance(active, OpenedBundle):
            self._judge_alone(verdict, new, Judge(OWN, own))
            if isinstance(active, BundleError):
                verdict.saw.append(f"not compared: the active version cannot be opened: {active}")
            return verdict
        if self.rows is not None:
            self._judge_by(verdict, new, active, [Judge(f"{self.rows}", own)])
        else:
            before = active.bundle.read_validation()
            for line in emptied_fields(new, active, own, before):
                verdict.against(line)
            judges = _judges(verdict, bundle, active.bundle, own, before)
            self._judge_by(verdict, new, active, judges)
        strange = sorted(bundle.schema.sources.keys() - active.bundle.schema.sources.keys())
        if strange:
            verdict.saw.append(f"the active version does not know the field {', '.join(strange)}")
        return verdict

    def _judge_alone(self, verdict: Verdict, new: OpenedBundle, judge: Judge) -> None:
        scored = self._scored(verdict, new, judge)
        if new.bundle.manifest.task == "click":
            self._judge_calibration(verdict, scored, judge, None)

    def _scored(self, verdict: Verdict, new: OpenedBundle, judge: Judge) -> Resampled:
        try:
            scored = resampled(new, judge.rows)
        except InputError as error:
            raise BundleError(f"{judge.rows.source}: row {_row(error)}: {error}") from error
        if judge.name in (OWN, BOTH) and (said := skew(new.bundle, scored, len(judge.rows))):
            verdict.against(said)
        return scored

    def _judge_by(
        self, verdict: Verdict, new: OpenedBundle, active: OpenedBundle, judges: list[Judge]
    ) -> None:
        found = {}
        for judge in judges:
            new_scores = self._scored(verdict, new, judge)
            old_scores: Resampled | InputError
            try:
                old_scores = resampled(active, judge.rows)
            except InputError as error:
                old_scores = error
            known = old_scores if isinstance(old_scores, Resampled) else None
            if new.bundle.manifest.task == "click":
                self._judge_calibration(verdict, new_scores, judge, known, of_day=_of_day(new))
            if isinstance(old_scores, InputError):
                verdict.saw.append(
                    f"not compared: the active version {active.bundle.version} cannot read row "
                    f"{_row(old_scores)} of {judge.rows.source}: {old_scores}"
                )
            else:
                compared = self._compare(verdict, new_scores, old_scores, active.bundle, judge)
                found[judge.name.startswith(ACTIVE_S)] = compared, old_scores
        if len(found) < 2:
            return
        (before, of_before), (own, of_own) = found[True], found[False]
        if said := odd_labels(new.bundle, active.bundle, of_own, of_before):
            verdict.against(said)
        if before is None or own is None or _of_day(new):
            return
        beyond_luck = before.worse - own.worse > np.hypot(before.luck, own.luck)
        if beyond_luck and before.worse > ODD and own.worse < -ODD:
            verdict.against(
                f"its log contradicts the active version's: worse on {ACTIVE_S} "
                f"({before.worse:+.1%}), better on its own ({own.worse:+.1%})"
            )

    def _judge_calibration(
        self,
        verdict: Verdict,
        new_scores: Resampled,
        judge: Judge,
        old_scores: Resampled | None,
        *,
        of_day: bool = False,
    ) -> None:
        ratio, interval = (
            new_scores.whole["calibration_ratio"],
            intervals(new_scores, SURE)["calibration_ratio"],
        )
        if np.isnan(ratio) or interval is None:
            verdict.saw.append(f"calibration: not known, too few clicks in {len(judge.rows)} rows")
            return
        low, high = 1 / self.calibration, self.calibration
        line = (
            f"calibration: mean probability is {ratio:.3f} of the click rate of {judge.name} "
            f"(99 %: {interval[0]:.3f} to {interval[1]:.3f}, {len(judge.rows)} rows)"
        )
        # by more than the luck of few clicks, which a comparison on the same rows has in both; the
        # level of a day's fit has the luck of its own few clicks as well
        beyond_luck = not interval[0] <= 1 <= interval[1]
        if old_scores is not None and (old := old_scores.whole["calibration_ratio"]) > 0:
            apart = not low <= ratio / old <= high and abs(np.log(ratio)) > abs(np.log(old))
            beyond_luck = beyond_luck and apart if of_day else beyond_luck or apart
            line += f", {ratio / old:.3f} of the active version's"
        if not low <= ratio <= high and beyond_luck:
            verdict.against(f"{line}, allowed is {low:.3f} to {high:.3f}")
        else:
            verdict.saw.append(line)

    def _compare(
        self,
        verdict: Verdict,
        new_scores: Resampled,
        old_scores: Resampled,
        active: Bundle,
        judge: Judge,
    ) -> _Compared | None:
        name = JUDGED_BY[active.manifest.task]
        found = differences([old_scores], [new_scores], SURE)[name]
        if found is None:
            verdict.saw.append(f"not compared: {name} is not defined on {judge.rows.source}")
            return None
        compared = _compared(name, found, new_scores, old_scores)
        low, high = found.interval
        line = (
            f"{name} {new_scores.whole[name]:.5f}, of the active version {active.version} "
            f"{old_scores.whole[name]:.5f}: {found.value:+.5f} (99 %: {low:+.5f} to {high:+.5f}, "
            f"{len(judge.rows)} rows) on {judge.name}"
        )
        if compared.worse - compared.luck > self.loss:
            verdict.against(_worse(line, judge))
        else:
            verdict.saw.append(line + (f", although {judge.doubt}" if judge.doubt else ""))
        return compared


def _is_active(new: OpenedBundle, active: OpenedBundle | BundleError | None) -> bool:
    return isinstance(active, OpenedBundle) and active.bundle.version == new.bundle.version


def _of_day(new: OpenedBundle) -> bool:
    """Whether it continues from another bundle, with only newer rows, and may differ as they do."""
    return bool(new.bundle.manifest.training.get("from"))


def _is_comparable(verdict: Verdict, bundle: Bundle, active: Bundle) -> bool:
    if active.manifest.task != bundle.manifest.task:
        verdict.against(
            f"task {bundle.manifest.task}, the active version {active.version} is of task "
            f"{active.manifest.task}"
        )
        return False
    if not shared_fields(bundle, active):
        verdict.against(
            f"it has no field of the active version {active.version}: a model of its own needs a "
            "name of its own (--model)"
        )
        return False
    return True


def _judges(
    verdict: Verdict,
    bundle: Bundle,
    active: Bundle,
    own: LabelledRows,
    before: LabelledRows | None,
) -> list[Judge]:
    # the bundle's own rows, and the active version's where the bundle's fields are in them
    found = [judge_of(bundle, own, active, OWN)]
    if before is None:
        verdict.saw.append("the active version holds no validation rows: not judged on them")
        return found
    columns = set(bundle.schema.sources.values())
    if lacking := sorted(columns - {name for row in before.rows for name in row}):
        verdict.saw.append(f"{ACTIVE_S} lack {', '.join(lacking)}: not judged on them")
        return found
    others = judge_of(active, before, bundle, ACTIVE_S)
    if others.is_same_as(found[0]):
        return [replace(found[0], name=BOTH)]
    return [*found, others]


def _compared(
    name: str, found: Difference, new_scores: Resampled, old_scores: Resampled
) -> _Compared:
    sign, figure = (1 if is_loss(name) else -1), abs(old_scores.whole[name])
    low, high = sorted(sign * end for end in found.interval)
    worse = sign * (new_scores.whole[name] - old_scores.whole[name])
    scale = figure or 1.0
    return _Compared(worse / scale, max(worse - low, (high - low) / 2) / scale)


def _worse(line: str, judge: Judge) -> str:
    # the version trained on the rows has an advantage: where it loses, it is worse all the same
    if judge.doubt is None or judge.name.startswith(ACTIVE_S):
        return f"worse than the active version: {line}"
    return (
        f"it cannot be judged whether it is worse than the active version: {line}, but "
        f"{judge.doubt}; give --on FILE of rows that neither was trained on"
    )


def _read(path: Path) -> LabelledRows:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    return LabelledRows.parse(data, str(path))


def _row(error: InputError) -> str:
    return "?" if error.row is None else str(error.row + 1)
