"""`afm-train tune`: searches for the settings of one net on one split, and writes the best as a
configuration.

Every trial is fitted on the same encoded rows, from the same seed, as `fit` would with its
settings; a trial that is behind the others after some epochs is ended. What decides is the
criterion on the rows held out, before calibration.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.files.whole_file import whole_file
from model.schema import Schema
from training.config import Config
from training.data.log import Log
from training.fit.beginnings import FromScratch
from training.fit.material import Material, Streamed, material_of, streamed_material
from training.jobs import Doing, here
from training.search.space import configured, space
from training.search.trial import Search, Trial, run_trial, running
from training.search.trials import Ended, Trials, Tuned, best_of, open_trials
from training.search.tune_report import tune_report
from training.state.checkpoint import digest

TRIALS, TABLE, BEST, REPORT = "trials.sqlite", "trials.json", "best.toml", "report.html"
ROUND = 5  # trials


def material_for(
    log: Log | Streamed, valid: Log | None, schema: Schema, config: Config, seed: int
) -> Callable[[], Material]:
    """What gives the rows of a search, see `tune`; a log that is streamed stays on disk."""
    if isinstance(log, Log):
        return lambda: material_of(FromScratch(), log, valid, None, schema, config, seed)
    return lambda: streamed_material(
        log.encoded(schema, config, seed, holds_out=valid is None),
        *(valid, None, config, seed, log.readers),
    )


def tune(
    material: Callable[[], Material],
    config: Config,
    out: Path,
    seed: int,
    trials: int | None,
    minutes: float | None,
    ended: Callable[[Ended], None],
    warned: Callable[[str], None],
    size: int = ROUND,
    doing: Doing = here,
) -> Tuned:
    """Search for settings. Where `out` holds a search of the same settings and rows, it is resumed,
    inside the trial that was interrupted. Writes trials.sqlite, trials.json, report.html and, with
    a winner, best.toml.

    Args:
        material: gives the rows to fit and to judge on.
        config: the first trial, and what is not searched for.
        out: the folder of the search.
        seed: of the draws and of every fit.
        trials: how many trials there are in the end, over all runs; None for no limit.
        minutes: how long this run takes; None for no limit. One of both must be given.
        ended: called with each trial that ended.
        warned: called with each line that `fit` would warn by.
        size: how many trials a round has, which are drawn together.
        doing: fits the trials of a round.

    Raises:
        ConfigError: no budget, or `out` holds a search of other settings or rows.
        DataError: a log that cannot be trained on.
    """
    deadline = _deadline(trials, minutes)
    made = material()
    schema, rows, held_out = made.schema, made.rows.seen, made.rows.held_out
    config = config.settled(len(rows), len(schema.fields))  # what is searched from are numbers
    for caution in made.warnings:
        warned(caution)
    counts = [len(rows), len(held_out)]
    settings = _settings(config, seed, schema, counts, digest(rows, held_out), size)
    search = Search(config, made.encoder, rows, held_out, seed, out.absolute(), deadline)
    with open_trials(out / TRIALS, settings, space(config), size) as found:
        interrupted = _Rounds(search, trials, doing, ended).run(found)
        of_all = found.ended()
    best = best_of(of_all)
    winner = None if best is None else configured(config, best.parameters)
    judged_by = f"valid {made.parts.objective.criterion}"
    tuned = Tuned(judged_by, of_all, best, winner, interrupted, list(made.warnings))
    _write_results(out, tuned, config, settings)
    return tuned


def _deadline(trials: int | None, minutes: float | None) -> float:
    # a moment of time.time(), which machines share
    if trials is None and minutes is None:
        raise ConfigError("a budget is needed: --trials or --minutes")
    for option, given in (("--trials", trials), ("--minutes", minutes)):
        if given is not None and not given > 0:
            raise ConfigError(f"{option} {given:g}: must be above 0")
    return time.time() + 60 * (float("inf") if minutes is None else minutes)


def _settings(
    config: Config, seed: int, schema: Schema, rows: list[int], digest: str, size: int
) -> dict[str, Any]:
    # what all trials of a search share: under other settings it is not resumed
    return {
        "net": config.net,
        "seed": seed,
        "schema": schema.digest,
        "configuration": config.model_dump(mode="json"),
        "rows": rows,
        "log": digest[:16],
        "round": size,
    }


def _write_results(out: Path, tuned: Tuned, config: Config, settings: dict[str, Any]) -> None:
    if tuned.config is not None:
        _write(out / BEST, tuned.config.dumps())
    _write(out / TABLE, json.dumps(_as_json(tuned), indent=2) + "\n")
    _write(out / REPORT, tune_report(tuned, config, settings))


@dataclass(frozen=True)
class _Rounds:
    # the rounds of a search, until it has its `trials` or its time is over

    search: Search
    trials: int | None
    doing: Doing
    ended: Callable[[Ended], None]

    def run(self, found: Trials) -> bool:
        # whether it was interrupted
        try:
            while (due := found.round(self.trials)) and self._is_time:
                if not self._round(found, due):
                    return True
        except KeyboardInterrupt:
            return True
        return False

    @property
    def _is_time(self) -> bool:
        return time.time() <= self.search.deadline

    def _round(self, found: Trials, due: list[Trial]) -> bool:
        # whether none was interrupted
        whole = True
        begun = takewhile(lambda _: whole and self._is_time, due)  # none after an interrupted one
        for at, came_to in self.doing(run_trial, self.search, begun):
            number = due[at].number
            if came_to is None:
                whole = False
                continue
            found.end(number, came_to)
            running(self.search.out, number).unlink(missing_ok=True)
            self.ended(next(one for one in found.ended() if one.number == number + 1))
        return whole


def _as_json(tuned: Tuned) -> dict[str, Any]:
    return {
        "criterion": tuned.criterion,
        "warnings": tuned.warnings,
        "best": None if tuned.best is None else tuned.best.number,
        "trials": [asdict(trial) for trial in tuned.trials],
    }


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
