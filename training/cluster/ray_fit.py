"""`afm-train fit --ray`: starts a fit on a Ray cluster, or finds it running, and follows it."""

import hashlib
import pickle
import time
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from model.bundle.write import check_absent
from model.errors import AfmError
from model.schema import Schema
from training.cluster.connection import connected
from training.cluster.fit_run import FitRun, News
from training.cluster.placement import check_room, of_member
from training.fit.fit import Fitted
from training.fit.request import FitRequest
from training.fit.step.watcher import Watcher
from training.state.checkpoint import CheckpointOptions, checkpoint_path

POLL_SECONDS = 0.5


def fit_on_ray(request: FitRequest, address: str, workers: int, watcher: Watcher) -> Fitted:
    """Fit with `workers` processes of one core each; the weights are those of `fit` to the bit.

    All files are given by paths that each machine of the cluster sees. A run outlives this process:
    the same request finds it again. Ctrl-C ends it, and `--resume` goes on.

    Raises:
        ConfigError: no cluster answers at `address`, or it has fewer cores.
        AfmError: what `fit` raises.
    """
    given = request.absolute()
    name = "fit-" + hashlib.sha256(repr(given).encode()).hexdigest()[:16]
    with connected(address, workers):
        fields = len(Schema.load(given.schema).without(given.drop_field).fields)
        memory = of_member(given.data, 0 if given.stream else fields)
        check_room(workers, memory)
        return _follow(_run_of(name, given, workers, memory), name, watcher)


def _run_of(name: str, request: FitRequest, workers: int, memory: int) -> Any:
    # the actor of this request: the one that runs, or a new one
    try:
        return ray.get_actor(name)
    except ValueError:
        check_absent(request.out)
    kept = checkpoint_path(request.out)
    if not request.checkpointing.resume:
        kept.unlink(missing_ok=True)
    # whoever is started again goes on from what was written since
    options = CheckpointOptions(resume=True, seconds=request.checkpointing.seconds)
    actor = ray.remote(FitRun).options(
        name=name, lifetime="detached", num_cpus=0, max_restarts=-1, max_concurrency=4
    )
    pickled = pickle.dumps(replace(request, checkpointing=options))
    return actor.remote(name, pickled, workers, memory)


def _has_ended(name: str) -> bool:
    # whether Ray will not start it again
    try:
        ray.get_actor(name)
    except ValueError:
        return True
    return False


def _follow(run: Any, name: str, watcher: Watcher) -> Fitted:
    life, seen = "", 0
    try:
        while True:
            try:
                news: News = ray.get(run.news.remote(seen))
            except RayError:  # its node was lost: it comes again on another one
                if _has_ended(name):
                    raise AfmError("--ray: another command has ended this fit") from None
                time.sleep(POLL_SECONDS)
                continue
            if news.life != life:
                life, seen = news.life, 0
                continue
            for note in news.notes:
                note.replay(watcher)
            seen += len(news.notes)
            if news.result is not None:
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        ray.kill(run)
        raise
    ray.kill(run)
    if news.result.fitted is None:
        raise AfmError(news.result.error)
    fitted: Fitted = pickle.loads(news.result.fitted)  # noqa: S301  of the fit asked for
    return fitted
