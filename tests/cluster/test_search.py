"""`tune --ray` and `compare --ray`: what one process finds, whoever is lost on the way."""

import json
import subprocess
from typing import Any

from model.bundle.files import WEIGHTS
from ray_nodes import Home, Nodes, kill_one, until

TRIALS = 20


def of(home: Home, *words: object) -> list[str]:
    """A command on the log of the home."""
    command, *more = words
    files = ["--schema", home.path / "schema.toml", "--config", home.path / "config.toml"]
    return home.words(command, home.path / "log.csv", *files, *more)


def trials(home: Home, out: str) -> Any:
    """What a search has found, without the seconds that it took."""
    found = json.loads((home.path / out / "trials.json").read_text())
    for trial in found["trials"]:
        del trial["seconds"]
    return found


def test_a_search_that_loses_a_task_and_a_node_loses_no_trial(nodes: Nodes, home: Home) -> None:
    given = ("tune", "--trials", TRIALS, "--seed", 5, "--out")
    alone = subprocess.run(of(home, *given, home.path / "tuned"), check=False)
    assert alone.returncode == 0
    said = home.path / "tuned.said"
    words = of(home, *given, home.path / "tuned-by-two", "--ray", nodes.address)
    with said.open("w") as file, subprocess.Popen(words, stderr=file) as asked:
        for lost, after in (("task", 3), ("node", 9)):
            until(
                lambda least=after: said.read_text().count("trial ") >= least,  # type: ignore[misc]  # a default
                said.read_text,
            )
            assert asked.poll() is None
            if lost == "task":
                kill_one("ray::_done")
            else:
                nodes.lose_the_second()
                nodes.add_a_second()
        assert asked.wait() == 0, said.read_text()
    found = trials(home, "tuned-by-two")
    assert [trial["number"] for trial in found["trials"]] == [*range(1, TRIALS + 1)]
    assert found == trials(home, "tuned")
    best = [(home.path / name / "best.toml").read_text() for name in ("tuned", "tuned-by-two")]
    assert best[0] == best[1]
    assert not [*(home.path / "tuned-by-two").glob("*.checkpoint")]


def test_a_search_whose_command_was_killed_goes_on(nodes: Nodes, home: Home) -> None:
    words = of(home, "tune", "--trials", 5, "--seed", 5, "--out", home.path / "ended")
    words += ["--ray", nodes.address]
    said = home.path / "ended.said"
    with said.open("w") as file, subprocess.Popen(words, stderr=file) as asked:
        until(lambda: "trial " in said.read_text(), said.read_text)
        asked.kill()
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("trial ") <= 4
    found = trials(home, "ended")["trials"]
    assert found == trials(home, "tuned")["trials"][:5]


def test_a_comparison_that_loses_a_task_has_the_bundles_of_one_process(
    nodes: Nodes, home: Home
) -> None:
    given = ("compare", "--nets", "fm,afm+", "--seeds", "1,2", "--out")
    alone = subprocess.run(
        of(home, *given, home.path / "compared"), capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stderr
    by_two = home.path / "compared-by-two"
    words = of(home, *given, by_two, "--ray", nodes.address)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:
        kill_one("ray::_done")
        said, error = asked.communicate()
    assert asked.returncode == 0, error
    assert said.splitlines()[:-1] == alone.stdout.splitlines()[:-1]
    runs = [f"{net}-{seed}" for net in ("fm", "afm+") for seed in (1, 2)]
    assert sorted(path.name for path in by_two.iterdir()) == sorted(
        [*runs, "report.html", "results.json"]
    )
    for run in runs:
        weights = [home.path / name / run / WEIGHTS for name in ("compared", "compared-by-two")]
        assert weights[0].read_bytes() == weights[1].read_bytes()
