"""What one of the processes that share a fit does, in a gloo group with the others."""

import math
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch

from model.bundle.bundle import Bundle
from model.errors import AfmError
from training.cluster.progress_notes import Note, Noting, Result
from training.fit.fit import Fitted
from training.fit.request import FitRequest
from training.fit.step.watcher import Epoch
from training.kernels import group

SILENT = timedelta(seconds=60)  # after which another process counts as lost


def work(
    given: bytes,
    number: int,
    members: int,
    first: str,
    note: Callable[[Note], object],
    end: Callable[[Result], object],
) -> None:
    """Work on the pickled FitRequest `given` as number `number` of so many, of whom the `first` can
    be reached there. That one tells `note` how it goes and `end` what it came to, and writes.

    Raises:
        MemberLostError: another one was lost.
    """
    torch.set_num_threads(1)
    request: FitRequest = pickle.loads(given)  # noqa: S301  of the command that started this process
    try:
        if request.out.exists():  # it was written, and then the FitRun was lost
            end(Result(pickle.dumps(_written(request.out))))
            return
        with group.joined(first, number, members, SILENT):
            checked = request.checked()
            if number:
                checked.fit_beside()
                return
            fitted = checked.fit(Noting(note))
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
