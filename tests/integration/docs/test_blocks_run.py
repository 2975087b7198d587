"""The blocks of the README and of docs/ that run: the tutorial from its first line to its last, and
each request of the other pages, asked of the model that the tutorial serves.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

import service.cli
import training.cli
from commands import Commands, Serving
from doc_blocks import Block, blocks, not_run
from doc_tables import table
from model.bundle.labelled_rows import LabelledRows

TUTORIAL = [block for block in blocks() if block.page == "docs/tutorial.md"]
ASKED = [block for block in blocks("sh") if block.text.startswith("curl ")]
FOLLOWED = {asked: after for asked, after in pairwise(blocks()) if asked in ASKED}
ADDRESS = "localhost:8000"
COMMANDS = {"afm-train": training.cli.main, "afm-serve": service.cli.main}
OF_A_LOG_LINE = {"logger", "event", "level"}


@dataclass
class Tutorial:
    """The tutorial's folder after its step 4, and the service that its step 4 started."""

    folder: Path
    serving: Serving

    def ask(self, words: list[str]) -> httpx.Response:
        """What `curl` with these words asks."""
        parser = argparse.ArgumentParser()
        parser.add_argument("-s", action="store_true")
        parser.add_argument("-H", action="append", default=[])
        parser.add_argument("-d")
        parser.add_argument("--json")
        parser.add_argument("url")
        given = parser.parse_args(words[1:])
        headers = dict(line.split(": ", 1) for line in given.H)
        body = given.d
        if given.json:
            body = (self.folder / given.json.removeprefix("@")).read_text()
            headers["content-type"] = "application/json"
        url = f"http://{given.url}".replace(f"http://{ADDRESS}", self.serving.url)
        return httpx.post(url, content=body, headers=headers, timeout=30)


def run_python(block: Block, url: str = "") -> None:
    text = block.text.replace(f"http://{ADDRESS}", url)
    exec(compile(text, str(block), "exec"), {"__name__": "block"})  # noqa: S102 the block is of docs/


def run_command(words: list[str]) -> None:
    """One command of a shell block; those of this project in this process, which has torch."""
    name = Path(words[0]).name
    if name in COMMANDS:
        assert COMMANDS[name](words[1:]) == 0
    else:
        subprocess.run(words, check=True)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tutorial]:
    """Steps 1 to 4 as they stand."""
    folder = tmp_path_factory.mktemp("tutorial")
    commands = Commands(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AFM_HOME", commands.env["AFM_HOME"])
        for block in TUTORIAL:
            if block in ASKED:
                break
            if block.language == "python":
                run_python(block)
            elif block.language == "toml":
                # a part of the draft, as it is before the next command
                drafted = (folder / "schema.toml").read_text()
                assert block.text in drafted, block
            else:
                for words in block.commands():
                    if not_run(words) in (None, "afm-train fit"):
                        run_command(words)
        with commands.serving(AFM_ACCESS_LOG="1") as serving:
            serving.wait_until("/readyz", lambda answer: answer.status_code == 200)
            yield Tutorial(folder, serving)


def shape(value: Any) -> Any:
    """What a document has in common with another answer: its keys, and the kinds of its values."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        kinds: list[Any] = []
        for part in map(shape, value):
            if part not in kinds:
                kinds.append(part)
        return sorted(kinds, key=str)
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.mark.parametrize("block", ASKED, ids=str)
def test_request_of_a_page_is_answered_as_the_page_says(tutorial: Tutorial, block: Block) -> None:
    if "@body.json" in block.text:
        body = '{"instances": [{"device": "phone", "ad": "ad-0003"}]}'
        (tutorial.folder / "body.json").write_text(body)
    (words,) = block.commands()
    answer = tutorial.ask(words)
    after = FOLLOWED.get(block)
    if after is None or after.language != "json":
        assert answer.status_code == 200, answer.text
        return
    (shown,) = after.documents()
    assert answer.status_code == shown.get("status", 200), answer.text
    assert list(answer.json()) == list(shown), "the order of the keys"
    assert shape(answer.json()) == shape(shown)
    for key in ("errors", "code", "row", "field", "values", "tried", "left_out", "first"):
        if key in shown:
            assert with_no_detail(answer.json()[key]) == with_no_detail(shown[key])
    if "probabilities" in shown:
        assert len(answer.json()["probabilities"]) == len(shown["probabilities"])


def with_no_detail(value: Any) -> Any:
    """Without the texts that may be reworded."""
    if isinstance(value, list):
        return [with_no_detail(part) for part in value]
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if key != "detail"}
    return value


def test_graphs_of_the_bundle_s_page_are_those_of_a_bundle(tutorial: Tutorial) -> None:
    for name, (inputs, outputs) in table("bundle.md", "graph", "inputs", "outputs").items():
        graph = onnx.load(tutorial.folder / "bundle" / name, load_external_data=False).graph
        for shown, found in ((inputs, graph.input), (outputs, graph.output)):
            ranks = [
                (one, sizes.count(",") + 1)
                for one, sizes in re.findall(r"`(\w+)` \[(.*?)\]", shown)
            ]
            assert ranks == [(one.name, len(one.type.tensor_type.shape.dim)) for one in found]


def test_every_json_block_is_an_answer_or_a_line_of_the_log() -> None:
    others = [block for block in blocks("json") if block not in FOLLOWED.values()]
    kinds = [block.documents()[0].keys() >= OF_A_LOG_LINE for block in others]
    assert kinds.count(False) == 1, others  # a labelled row, which the next test reads


def test_labelled_row_of_the_bundle_s_page_is_one_that_the_gate_reads() -> None:
    (block,) = [one for one in blocks("json") if one.page == "docs/bundle.md"]
    assert len(LabelledRows.parse(block.text.encode(), str(block))) == 1


def test_line_of_the_access_log_has_the_keys_that_the_page_shows(tutorial: Tutorial) -> None:
    (shown,) = [
        document
        for block in blocks("json")
        for document in block.documents()
        if document.keys() >= OF_A_LOG_LINE
    ]
    with tutorial.serving.client() as client:
        body = {"instances": [{"device": "phone"}] * 100}
        client.post("/predict", json=body, headers={"x-request-id": "a1"})
    tutorial.serving.wait_for_log('"rows": 100')
    lines = tutorial.serving.log.read_text().splitlines()
    (line,) = [json.loads(one) for one in lines if '"rows": 100' in one]
    assert shape(line) == shape(shown)
    for key in ("status", "route", "rows", "event", "request_id", "logger", "level"):
        assert line[key] == shown[key]


@pytest.mark.parametrize(
    "block", [one for one in TUTORIAL if one.language == "python"][1:], ids=str
)
def test_script_of_the_tutorial_runs(tutorial: Tutorial, block: Block) -> None:
    run_python(block, tutorial.serving.url)


def other_commands() -> list[list[str]]:
    """The commands of the other pages that are run, in the tutorial's folder."""
    found = [
        words
        for block in blocks("sh")
        if block not in (*TUTORIAL, *ASKED)
        for words in block.commands()
        if not_run(words) is None and words[0] != "export"
    ]
    return [words for n, words in enumerate(found) if words not in found[:n]]


@pytest.mark.parametrize("words", other_commands(), ids=" ".join)
def test_command_of_a_page_runs_in_the_folder_of_the_tutorial(
    tutorial: Tutorial, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tutorial.folder
    monkeypatch.chdir(folder)
    shutil.copy(folder / "log.csv", folder / "test.csv")
    keys = folder / "keys"  # a file, or the containers' folder with one
    shutil.rmtree(keys, ignore_errors=True)
    keys.unlink(missing_ok=True)
    if words[0] == "sed":
        keys.mkdir()
        (keys / "keys").write_text("shop 00 predict\nother 00 predict\n")
    monkeypatch.setenv("AFM_HOME", str(folder / "afm"))
    monkeypatch.setenv("AFM_API_KEYS", "keys")
    for name in ("whatif.html", "scores.parquet", "drafted.toml"):
        (folder / name).unlink(missing_ok=True)
    out = words.index("--out") + 1 if "--out" in words else 0
    if out and words[out] == "schema.toml":
        words = [*words[:out], "drafted.toml", *words[out + 1 :]]
    run_command(words)
    if words[0] == "sed":
        assert (keys / "keys").read_text() == "other 00 predict\n"
    if out:
        assert (folder / words[out]).stat().st_size > 0


def test_variables_of_an_export_are_settings() -> None:
    exported = [words for block in blocks("sh") for words in block.commands() if "export" in words]
    assert exported
    assert all(word.startswith("AFM_API_KEYS=") for words in exported for word in words[1:])
    assert "AFM_API_KEYS" not in os.environ
