"""One of the processes that share a fit: an actor on one core, in a gloo group with the others."""

import math
import socket
import traceback
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import ray
import torch

from model.bundle.bundle import Bundle
from model.errors import AfmError
from training.cluster.progress_notes import Noting
from training.fit.fit import Fitted
from training.fit.request import FitRequest
from training.fit.step.watcher import Epoch
from training.kernels import group

SILENT = timedelta(seconds=60)  # after which another process counts as lost


class Result(NamedTuple):
    """What a fit came to: a bundle, or the `error` that ended it."""

    fitted: Fitted | None
    error: str = ""


class Member:
    """One process. `run`: the name of the FitRun that started it."""

    def __init__(self, run: str) -> None:
        self._run = ray.get_actor(run)
        torch.set_num_threads(1)

    def address(self) -> str:
        """Where it can be reached, by a port that is free now."""
        host = str(ray.util.get_node_ip_address())
        with socket.socket() as one:
            one.bind((host, 0))
            return f"tcp://{host}:{one.getsockname()[1]}"

    def work(self, request: FitRequest, number: int, members: int, first: str) -> None:
        """Work on the fit as number `number` of so many, of whom the `first` can be reached there.
        That one writes.

        Raises:
            MemberLostError: another one was lost.
        """
        try:
            if request.out.exists():  # it was written, and then the FitRun was lost
                self._end(Result(_written(request.out)))
                return
            with group.joined(first, number, members, SILENT):
                checked = request.checked()
                if number:
                    checked.fit_beside()
                    return
                fitted = checked.fit(Noting(self._run.note.remote))
            self._end(Result(fitted))
        except group.MemberLostError:
            raise
        except AfmError as error:
            self._end(Result(None, str(error)))
        except Exception:  # a fault: it would come again
            self._end(Result(None, traceback.format_exc()))

    def _end(self, result: Result) -> None:
        ray.get(self._run.end.remote(result))


def _written(out: Path) -> Fitted:
    manifest = Bundle.open(out).manifest
    epochs = [Epoch(**epoch) for epoch in manifest.training["epochs"]]
    return Fitted(manifest, epochs, math.nan, interrupted=False)
