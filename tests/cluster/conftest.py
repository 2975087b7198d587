"""Fits on a Ray cluster of two nodes of one core each, where Ray is installed: `make ray`."""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ray_nodes import CONFIG, Home, Nodes
from tiny import TINY_SCHEMA, tiny_rows


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
    rows = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in tiny_rows(2000)
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path / "log.csv")
    (path / "schema.toml").write_text(TINY_SCHEMA)
    (path / "config.toml").write_text(CONFIG)
    found = Home(path)
    ended = found.run("alone")
    assert ended.returncode == 0, ended.stderr
    return found


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
