"""The trials of one search that have ended, in a SQLite file through Optuna.

They are drawn in rounds: a draw depends on the seed, on the trial's number and on what the rounds
before came to, and on nothing that a process remembers. So a search that was killed is resumed as
if it had not been, and is the same one on however many machines.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from model.errors import ConfigError, reason
from model.files.file_locks import open_lock, take
from training.config import Config
from training.search.space import Parameters, Space
from training.search.trial import Outcome, Trial

NAME = "tune"  # of the study in its file
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
SETTINGS, NUMBER, SEEN = "settings", "number", "seen"  # attributes of the study, and of a trial


@dataclass(frozen=True)
class Ended:
    """A trial. `state`: complete, or pruned as it was behind the others. `loss` and `auc` on the
    rows held out, of its best epoch; of a pruned one the lowest loss until then. `curve`: the
    lowest loss up to each epoch. `seconds` is what its epochs took.
    """

    number: int
    state: str
    parameters: Parameters
    loss: float
    auc: float | None
    seconds: float
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Tuned:
    """What a search came to: its trials, the best of them with its configuration, and whether
    Ctrl-C or the end of its minutes interrupted a trial. Neither best nor configuration where no
    trial was completed. `warnings`: what must not pass in silence of the log, a line each.
    """

    criterion: str
    trials: list[Ended]
    best: Ended | None
    config: Config | None
    interrupted: bool
    warnings: Sequence[str] = ()


class Trials:
    """All trials of one search, by their numbers from 0 on. `size`: how many a round has."""

    def __init__(self, study: optuna.Study, space: Space, size: int) -> None:
        self._study, self._space, self._size = study, space, size

    def ended(self) -> list[Ended]:
        """Those that have ended, in their order, counted from 1."""
        return [
            Ended(
                number + 1,
                ENDED[trial.state],
                dict(trial.params),
                trial.user_attrs[SEEN]["loss"],
                trial.user_attrs[SEEN]["auc"],
                trial.user_attrs[SEEN]["seconds"],
                tuple(value for _, value in sorted(trial.intermediate_values.items())),
            )
            for number, trial in self._found().items()
        ]

    def round(self, most: int | None) -> list[Trial]:
        """The trials of the first round that has not ended which are still to be fitted; none where
        the search has its `most`.
        """
        found = self._found()
        next_one = next(number for number in count() if number not in found)
        start = next_one - next_one % self._size
        numbers = range(start, start + self._size)
        earlier = [trial for number, trial in found.items() if number < start]
        return [
            Trial(number, earlier)
            for number in numbers
            if number not in found and (most is None or number < most)
        ]

    def end(self, number: int, came_to: Outcome) -> None:
        """Keep what a trial came to."""
        seen = {"loss": came_to.loss, "auc": came_to.auc, "seconds": came_to.seconds}
        self._study.add_trial(
            create_trial(
                state=TrialState.PRUNED if came_to.is_pruned else TrialState.COMPLETE,
                value=None if came_to.is_pruned else came_to.loss,
                params=came_to.parameters,
                distributions=self._space,
                user_attrs={NUMBER: number, SEEN: seen},
                intermediate_values=dict(enumerate(came_to.curve, 1)),
            )
        )

    def _found(self) -> dict[int, FrozenTrial]:
        # an earlier version of this package kept them without numbers, in their order
        found = self._study.get_trials(deepcopy=False, states=tuple(ENDED))
        numbered = {trial.user_attrs.get(NUMBER, at): trial for at, trial in enumerate(found)}
        return dict(sorted(numbered.items()))


def best_of(ended: list[Ended]) -> Ended | None:
    """The complete one of the lowest loss, the first of equals."""
    complete = [trial for trial in ended if trial.state == "complete"]
    return min(complete, key=lambda trial: trial.loss, default=None)


@contextmanager
def open_trials(
    path: Path, settings: Mapping[str, Any], space: Space, size: int
) -> Iterator[Trials]:
    """The trials in the file at `path`, which is made if it is not there. `settings` (of JSON's
    kinds) are what trials must share to be compared, `size` how many trials a round has.

    Raises:
        ConfigError: the file is of other settings, in use, not one of trials, or out of reach.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the command says it in its own words
    with _locked(path):
        try:
            storage = RDBStorage(f"sqlite:///{path.resolve()}")
        except Exception as error:  # SQLAlchemy's, of whatever the file is
            raise ConfigError(f"{path}: not a file of trials that can be used") from error
        try:
            study = optuna.create_study(
                study_name=NAME,
                storage=storage,
                direction="minimize",
                load_if_exists=True,
            )
            begun = study.user_attrs.get(SETTINGS)
            if begun is None:
                study.set_user_attr(SETTINGS, dict(settings))
            else:
                # an earlier version drew each trial from all before it
                _check(path, {"round": 1} | begun, settings)
            yield Trials(study, space, size)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _check(path: Path, begun: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for key in [*begun, *given]:
        if begun.get(key) != given.get(key):
            raise ConfigError(
                f"{path}: was begun with {key} {begun.get(key)}, not {given.get(key)}: "
                f"give what it was begun with, or another --out"
            )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # by the kernel, so that a killed holder leaves no lock behind
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot write there: {reason(error)}") from error
    try:
        if not take(handle, 0):
            raise ConfigError(f"{path}: another search is at work on it")
        yield
    finally:
        os.close(handle)
