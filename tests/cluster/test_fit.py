"""`afm-train fit --ray`: the weights of one process, whoever is lost on the way."""

import os
import signal
import subprocess
import sys

import pytest

from fit_calls import write_csv
from ray_nodes import LONGEST, Home, Nodes, kill_one, processes, until
from tiny import tiny_rows


@pytest.mark.parametrize("workers", [1, 2])
def test_weights_are_those_of_one_process(nodes: Nodes, home: Home, workers: int) -> None:
    out = f"of-{workers}"
    ended = home.run(out, "--ray", nodes.address, "--workers", str(workers))
    assert ended.returncode == 0, ended.stderr
    assert home.weights(out) == home.weights("alone")
    assert "afm+ epoch  1" in ended.stderr
    assert "parity:" in ended.stdout


def test_weights_of_a_streamed_log_are_those_of_one_process(nodes: Nodes, home: Home) -> None:
    new = home.path / "new.csv"  # rows of which nothing is in the user's cache
    write_csv(new, tiny_rows(100 + os.getpid() % 1000))
    given = str(new), "--stream"
    ended = home.run("streamed-by-2", *given, "--ray", nodes.address, "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert "first pass" in ended.stderr
    assert home.run("streamed", *given).returncode == 0
    assert home.weights("streamed-by-2") == home.weights("streamed")


def test_a_streamed_log_that_cannot_be_trained_on_ends_the_run_with_one_line(
    nodes: Nodes, home: Home
) -> None:
    rows = tiny_rows(50 + os.getpid() % 1000)
    write_csv(home.path / "none.csv", [row | {"click": 0} for row in rows])
    command = home.command("none", "--stream", "--ray", nodes.address, "--workers", "2")
    command[command.index(str(home.path / "log.csv"))] = str(home.path / "none.csv")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "afm-train: " in ended.stderr.splitlines()[-1]
    assert not (home.path / "none").exists()


@pytest.mark.parametrize("seed", ["1", "2", "4", "5"])  # and 3, of the others
def test_weights_of_any_seed_are_those_of_one_process(nodes: Nodes, home: Home, seed: str) -> None:
    alone, by_two = f"alone-{seed}", f"by-two-{seed}"
    assert home.run(alone, "--seed", seed).returncode == 0
    ended = home.run(by_two, "--seed", seed, "--ray", nodes.address, "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert home.weights(by_two) == home.weights(alone) != home.weights("alone")


def test_a_process_is_there_before_it_has_imported_what_a_fit_needs() -> None:
    pytest.importorskip("ray", reason="ray is not installed: make ray")
    said = "import sys, training.cluster.fit_run; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


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
        kill_one("ray::Member")
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


def test_a_command_whose_fit_another_one_has_ended_says_so(nodes: Nodes, home: Home) -> None:
    given = ("shared", "--ray", nodes.address, "--workers", "1")
    first = home.start(*given)
    until(lambda: " epoch " in home.said("shared"), lambda: home.said("shared"))
    stopped("ray::Member", signal.SIGSTOP)  # so that the second one finds the fit
    error = home.path / "second.said"
    with error.open("w") as file:
        second = subprocess.Popen(home.command(*given), stderr=file)
    until(lambda: " epoch " in error.read_text(), error.read_text)
    second.send_signal(signal.SIGSTOP)
    stopped("ray::Member", signal.SIGCONT)
    assert first.wait(LONGEST) == 0, home.said("shared")
    second.send_signal(signal.SIGCONT)
    assert second.wait(60) == 2, error.read_text()
    assert error.read_text().endswith("--ray: another command has ended this fit\n")
    assert home.weights("shared") == home.weights("alone")


def stopped(title: str, sent: signal.Signals) -> None:
    for one in processes(title):
        os.kill(one, sent)


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
