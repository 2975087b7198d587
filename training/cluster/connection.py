"""A Ray cluster, reached by its address."""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import ray

from model.errors import ConfigError

NAMESPACE = "ctr-afm"
LOCAL = "local"  # an address
REACHED_SECONDS = 5.0


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[None]:
    """With the cluster at `address`; `local` starts one of `workers` cores on this machine, or of
    all that it has. What Ray says of lost processes goes to stderr: it would stand among the
    results of a command.

    Raises:
        ConfigError: no cluster answers there, or it has fewer cores than `workers`.
    """
    with redirect_stdout(sys.stderr):
        try:
            _connect(address, workers)
            yield
        finally:
            ray.shutdown()


def _connect(address: str, workers: int | None) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    _check_reachable(address)
    given: dict[str, Any] = {"num_cpus": workers} if address == LOCAL and workers else {}
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == LOCAL else None,
            **given,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0]
        raise ConfigError(f"--ray {address}: no cluster answers there: {line}") from None
    cores = int(ray.cluster_resources().get("CPU", 0))
    if cores < (workers or 1):
        raise ConfigError(
            f"--workers {workers or 1}: the cluster has {cores} cores, one each is needed"
        )


def _check_reachable(address: str) -> None:
    # Ray itself tries for minutes
    host, mark, port = address.rpartition(":")
    if not mark or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), REACHED_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--ray {address}: no cluster answers there: {error}") from None
