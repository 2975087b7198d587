"""`afm-train fit --ray`: the weights of one process, whoever is lost on the way."""

import random
import time
from collections.abc import Callable

import pytest

from ray_nodes import Home, Nodes

LONGEST = 300.0  # seconds of a fit, with what starting again takes on a busy machine


def until(condition: Callable[[], bool], said: Callable[[], str]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


def members() -> list[int]:
    """The processes that share a fit now."""
    import psutil

    found = psutil.process_iter(["cmdline"])
    return [one.pid for one in found if (one.info["cmdline"] or [""])[0].startswith("ray::Member")]


@pytest.mark.parametrize("workers", [1, 2])
def test_weights_are_those_of_one_process(nodes: Nodes, home: Home, workers: int) -> None:
    out = f"of-{workers}"
    ended = home.run(out, "--ray", nodes.address, "--workers", str(workers))
    assert ended.returncode == 0, ended.stderr
    assert home.weights(out) == home.weights("alone")
    assert "afm+ epoch  1" in ended.stderr
    assert "parity:" in ended.stdout


@pytest.mark.parametrize("lost", ["member", "node", "asker"])
@pytest.mark.parametrize("after", [1, 9])
def test_a_fit_that_loses_a_part_of_it_ends_with_the_same_weights(
    nodes: Nodes, home: Home, lost: str, after: int
) -> None:
    out = f"{lost}-{after}"
    given = (out, "--ray", nodes.address, "--workers", "2")
    asker = home.start(*given)
    until(lambda: home.said(out).count(" epoch ") >= after, lambda: home.said(out))
    if lost == "member":
        import psutil

        psutil.Process(random.choice(members())).kill()
    elif lost == "node":
        nodes.lose_the_second()
        nodes.add_a_second()
    else:
        asker.kill()
        asker.wait()
        asker = home.start(*given)  # finds the run, or its bundle
    asker.wait(LONGEST)
    until((home.path / out).exists, lambda: home.said(out))
    assert home.weights(out) == home.weights("alone"), home.said(out)


def test_a_cluster_that_is_too_small_is_said_to_be_at_once(nodes: Nodes, home: Home) -> None:
    ended = home.run("large", "--ray", nodes.address, "--workers", "64")
    assert ended.returncode == 2
    assert "--workers 64: the cluster has 2 cores" in ended.stderr
    assert not (home.path / "large").exists()


def test_a_log_that_cannot_be_trained_on_ends_the_run_with_one_line(
    nodes: Nodes, home: Home
) -> None:
    (home.path / "config.toml").rename(home.path / "kept.toml")
    try:
        (home.path / "config.toml").write_text('net = "afm+"\nnegatives_rate = 1e-12\n')
        ended = home.run("none", "--ray", nodes.address, "--workers", "2")
    finally:
        (home.path / "kept.toml").replace(home.path / "config.toml")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr


def test_no_cluster_is_one_line(home: Home) -> None:
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    ended = home.run("nowhere", "--ray", "127.0.0.1:9", "--workers", "1")
    assert ended.returncode == 2
    assert "--ray 127.0.0.1:9" in ended.stderr.splitlines()[-1]
