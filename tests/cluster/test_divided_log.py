"""`fit --stream --ray` on two machines, which are two addresses of this one with a cache each."""

import os
from pathlib import Path

from fit_calls import write_csv
from ray_nodes import Home, Nodes
from tiny import tiny_rows
from training.cache_home import cache_home


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder and of those in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_each_machine_has_the_whole_log(nodes: Nodes, home: Home, tmp_path: Path) -> None:
    logs = cache_home() / "logs"
    before = set(logs.glob("[!.]*"))
    new = home.path / "divided.csv"  # rows of which nothing is in the user's cache
    write_csv(new, tiny_rows(5000 + os.getpid() % 1000))
    other = nodes.cluster.add_node(
        num_cpus=1, node_ip_address="127.0.0.2", env_vars={"XDG_CACHE_HOME": str(tmp_path)}
    )
    nodes.lose_the_second()
    try:
        given = str(new), "--stream"
        ended = home.run("divided-by-2", *given, "--ray", nodes.address, "--workers", "2")
    finally:
        nodes.cluster.remove_node(other)
        nodes.add_a_second()
    assert ended.returncode == 0, ended.stderr
    (one,) = set(logs.glob("[!.]*")) - before
    assert contents(one) == contents(tmp_path / "ctr-afm" / "logs" / one.name)
    assert home.run("undivided", *given).returncode == 0
    assert home.weights("divided-by-2") == home.weights("undivided")
