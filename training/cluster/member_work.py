"""What one of the processes that share a fit does, in a gloo group with the others."""

import math
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch

from model.bundle.bundle import Bundle
from model.errors import AfmError
from training import group
from training.cluster.progress_notes import Note, Noting, Result
from training.fit.fit import Fitted
from training.fit.request import CheckedRequest, FitRequest
from training.fit.step.watcher import Epoch

SILENT = timedelta(seconds=60)  # after which another process counts as lost
# while a log is encoded, where Ray tells of a lost one: a slow disk is waited for
SILENT_READING = timedelta(days=1)


class Prepared(NamedTuple):
    """A request, checked; None where its bundle was written already, or where an `error` makes the
    fit impossible.
    """

    request: FitRequest
    checked: CheckedRequest | None
    error: str = ""


def prepared(given: bytes) -> Prepared:
    """The pickled FitRequest `given`, and what its small files say."""
    torch.set_num_threads(1)
    request: FitRequest = pickle.loads(given)  # noqa: S301  of the command that started this process
    if request.out.exists():  # it was written, and then the FitRun was lost
        return Prepared(request, None)
    return _tried(request, request.checked)


def encoded(
    given: Prepared, number: int, members: int, first: str, note: Callable[[Note], object]
) -> Prepared:
    """With the log encoded, where it is streamed, as number `number` of so many that share this,
    each on a machine of its own; the `first` can be reached there, and tells `note` how it goes.

    Raises:
        MemberLostError: another one was lost.
    """

    def say(line: str) -> None:
        if not number:
            note(Note("said", (line,)))

    checked = given.checked
    if checked is None or not checked.request.stream:
        return given
    if members == 1:
        return _tried(given.request, lambda: checked.encoded(say))
    with group.joined(first, number, members, SILENT_READING):
        return _tried(given.request, lambda: checked.encoded(say))


def _tried(request: FitRequest, made: Callable[[], CheckedRequest]) -> Prepared:
    try:
        return Prepared(request, made())
    except group.MemberLostError:
        raise
    except AfmError as error:
        return Prepared(request, None, str(error))
    except Exception:  # a fault: it would come again
        return Prepared(request, None, traceback.format_exc())


def work(
    given: Prepared,
    number: int,
    members: int,
    first: str,
    note: Callable[[Note], object],
    end: Callable[[Result], object],
) -> None:
    """Work on what was prepared as number `number` of so many, of whom the `first` can be reached
    there. That one tells `note` how it goes and `end` what it came to, and writes.

    Raises:
        MemberLostError: another one was lost.
    """
    try:
        if given.checked is None:
            end(Result(pickle.dumps(_written(given.request.out))))
            return
        with group.joined(first, number, members, SILENT):
            if number:
                given.checked.fit_beside()
                return
            fitted = given.checked.fit(Noting(note))
        end(Result(pickle.dumps(fitted)))
    except group.MemberLostError:
        raise
    except AfmError as error:
        end(Result(None, str(error)))
    except Exception:  # a fault: it would come again
        end(Result(None, traceback.format_exc()))


def _written(out: Path) -> Fitted:
    manifest = Bundle.open(out).manifest
    epochs = [Epoch(**epoch) for epoch in manifest.training["epochs"]]
    return Fitted(manifest, epochs, math.nan, interrupted=False)
