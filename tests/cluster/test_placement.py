"""What a command asks of a cluster: a cluster that does not have it is refused at once."""

from collections.abc import Iterator
from typing import Any

import pytest

from ray_nodes import Home


@pytest.fixture(scope="module")
def small() -> Iterator[Any]:
    """A cluster of one core and 300 MB."""
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "memory": 300 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


def test_a_cluster_without_the_memory_for_a_task_is_refused(small: Any, home: Home) -> None:
    ended = home.ask(
        *("predict", home.path / "alone", home.path / "log.csv"),
        *("--out", home.path / "no-room.csv", "--ray", small.address),
    )
    assert ended.returncode == 2
    assert "has room for 0, which need a core and 700 MB of memory each" in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert not [*home.path.glob("*no-room*")]


def test_a_cluster_without_the_memory_for_a_fit_is_refused(small: Any, home: Home) -> None:
    ended = home.run("no-room", "--ray", small.address, "--workers", "1")
    assert ended.returncode == 2
    assert "--workers 1: the cluster has room for 0" in ended.stderr
    assert not [*home.path.glob("*no-room*")]
