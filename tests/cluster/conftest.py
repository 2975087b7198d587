"""Fits on a Ray cluster of two nodes of one core each, where Ray is installed: `make ray`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_nodes import Home, Nodes


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield Nodes(cluster, cluster.add_node(num_cpus=1))
    cluster.shutdown()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    path = tmp_path_factory.mktemp("cluster")
    return Home.made(path)


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
