"""The trials of one search, in a SQLite file through Optuna: drawn, reported, ended, resumed.

A draw depends on the seed, on how many trials have ended and on what they came to, and on nothing
that a process remembers. So a search that was killed is resumed as if it had not been: the trial
that it left running is drawn again, with the same parameters.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from model.errors import ConfigError, reason
from model.files.file_locks import open_lock, take
from training.config import Config
from training.search.space import Parameters, Space

NAME = "tune"  # of the study in its file
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
SETTINGS, SEEN = "settings", "seen"  # attributes of the study, and of a trial


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
    """All trials of one search."""

    def __init__(self, study: optuna.Study, space: Space, first: Parameters, seed: int) -> None:
        self._study, self._space, self._first, self._seed = study, space, first, seed
        for left in study.get_trials(states=(TrialState.RUNNING,)):
            # by a run that was ended; the next draw is the same again
            study.tell(left.number, state=TrialState.FAIL)

    def ended(self) -> list[Ended]:
        """Those that have ended, in their order, counted from 1."""
        found = self._study.get_trials(deepcopy=False, states=tuple(ENDED))
        return [
            Ended(
                number,
                ENDED[trial.state],
                dict(trial.params),
                trial.user_attrs[SEEN]["loss"],
                trial.user_attrs[SEEN]["auc"],
                trial.user_attrs[SEEN]["seconds"],
                tuple(value for _, value in sorted(trial.intermediate_values.items())),
            )
            for number, trial in enumerate(found, 1)
        ]

    def begin(self) -> optuna.Trial:
        """The next one, with its parameters drawn."""
        count = len(self._study.get_trials(deepcopy=False, states=tuple(ENDED)))
        # anew for each trial: a sampler kept would remember draws that a killed run has lost
        seed = (self._seed * 1_000_003 + count) % 2**32  # the most that Optuna takes
        self._study.sampler = TPESampler(seed=seed)
        if count == 0 and not self._study.get_trials(states=(TrialState.WAITING,)):
            self._study.enqueue_trial(self._first)
        return self._study.ask(self._space)

    def end(
        self, trial: optuna.Trial, loss: float, auc: float | None, seconds: float, *, pruned: bool
    ) -> None:
        """What a trial came to."""
        trial.set_user_attr(SEEN, {"loss": loss, "auc": auc, "seconds": seconds})
        if pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, loss)


def best_of(ended: list[Ended]) -> Ended | None:
    """The complete one of the lowest loss, the first of equals."""
    complete = [trial for trial in ended if trial.state == "complete"]
    return min(complete, key=lambda trial: trial.loss, default=None)


@contextmanager
def open_trials(
    path: Path, settings: Mapping[str, Any], space: Space, first: Parameters, seed: int
) -> Iterator[Trials]:
    """The trials in the file at `path`, which is made if it is not there. `settings` (of JSON's
    kinds) are what trials must share to be compared; `first` are the parameters of the first.

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
                pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=3),
                load_if_exists=True,
            )
            begun = study.user_attrs.get(SETTINGS)
            if begun is None:
                study.set_user_attr(SETTINGS, dict(settings))
            else:
                _check(path, begun, settings)
            yield Trials(study, space, first, seed)
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
