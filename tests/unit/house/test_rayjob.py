"""docker/rayjob.yaml: its command is one of `afm-train fit`, and its pods have room for it."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[3]
MANIFEST = (ROOT / "docker/rayjob.yaml").read_text()


def entrypoint() -> list[str]:
    folded = re.search(r"entrypoint: >-\n((?: {4}.*\n)+)", MANIFEST)
    assert folded is not None
    return shlex.split(folded[1])


def test_the_options_of_the_command_are_those_of_fit() -> None:
    program, command, *words = entrypoint()
    assert (program, command) == ("afm-train", "fit")
    page = (ROOT / "docs/cli.md").read_text()
    fit = page.split("### afm-train fit\n")[1].split("###")[0]
    known = set(re.findall(r"^\| `(--[a-z-]+)", fit, flags=re.MULTILINE))
    assert {word for word in words if word.startswith("--")} <= known


def test_the_pods_have_a_core_for_each_process() -> None:
    words = entrypoint()
    workers = int(words[words.index("--workers") + 1])
    group = MANIFEST.split("workerGroupSpecs:")[1]
    (replicas,) = re.findall(r"^ +replicas: (\d+)$", group, flags=re.MULTILINE)
    (cores,) = re.findall(r'requests: \{ cpu: "(\d+)"', group)
    assert int(replicas) * int(cores) == workers
