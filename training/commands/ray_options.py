"""The options of commands whose work a Ray cluster can do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from typer import Option

from model.errors import ConfigError
from training.commands.options import at_least

if TYPE_CHECKING:
    from training.jobs import Doing

Ray = Annotated[
    str | None,
    Option(metavar="ADDRESS", help="Work on this Ray cluster; local: one of this machine alone."),
]
Workers = Annotated[
    int | None,
    Option(
        parser=at_least("--workers", int, 1),
        metavar="N",
        help="With --ray, how many cores at once. Default: all of the cluster.",
    ),
]


@contextmanager
def done_by(ray: str | None, workers: int | None) -> Iterator["Doing"]:
    """What does the jobs of a command: this process, or a cluster.

    Raises:
        ConfigError: Ray is not installed, no cluster answers, or it has fewer cores.
    """
    if ray is None:
        from training.jobs import here

        if workers is not None:
            raise ConfigError("--workers: goes with --ray ADDRESS")
        yield here
        return
    try:
        from training.cluster.tasks import ray_tasks
    except ModuleNotFoundError as error:
        raise without_ray(error) from None
    with ray_tasks(ray, workers) as tasks:
        yield tasks


def without_ray(error: ModuleNotFoundError) -> ConfigError:
    """What to say where Ray is not installed."""
    return ConfigError(f"--ray needs {error.name}: pip install 'ctr-afm[ray]'")
