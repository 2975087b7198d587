"""Every block of the README and of docs/ is read by the program that it is written for."""

import argparse
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from doc_blocks import NOT_READ, NOT_RUN, ROOT, Block, blocks, not_run
from model.schema import Schema
from service.setting_names import OF_CONTAINERS
from service.settings import Settings
from training.config import Config

READ = {"sh", "json", "toml", "python"}
COMPOSE_SERVICES = set(
    re.findall(
        r"^  (\w+):$",
        (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("\nvolumes:")[0],
        flags=re.MULTILINE,
    )
)


def reason(block: Block) -> tuple[str, str] | None:
    """The key of NOT_READ that holds for a block."""
    keys = [(block.page, block.language), ("*", block.language)]
    return next((key for key in keys if key in NOT_READ), None)


def shell_commands() -> list[tuple[Block, list[str]]]:
    return [(block, words) for block in blocks("sh") for words in block.commands()]


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_block_is_of_a_language_that_is_read_or_has_a_reason(block: Block) -> None:
    assert (block.language in READ) != (reason(block) is not None and block.language not in READ)


def test_reasons_are_of_blocks_and_commands_that_are_there() -> None:
    assert {reason(block) for block in blocks()} - {None} == set(NOT_READ)
    assert {not_run(words) for _, words in shell_commands()} - {None} == set(NOT_RUN)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_block_parses(block: Block) -> None:
    assert block.documents()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_block_compiles(block: Block) -> None:
    # a snippet may be the body of a function
    lines = "".join(f"    {line}\n" for line in block.text.splitlines())
    compile(f"async def snippet():\n{lines}", str(block), "exec")


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_block_is_loaded_by_what_reads_such_a_file(block: Block, tmp_path: Path) -> None:
    if block.page == "docs/training.md":
        (tmp_path / "config.toml").write_text(block.text, encoding="utf-8")
        assert Config.load(tmp_path / "config.toml") != Config()
    else:
        label = "" if "label" in tomllib.loads(block.text) else 'label = "click"\n'
        assert Schema.parse(label + block.text).fields


@pytest.mark.parametrize(
    ("block", "words"), [pair for pair in shell_commands() if "make" in pair[1]], ids=str
)
def test_make_command_is_one_that_make_takes(
    block: Block, words: list[str], tmp_path: Path
) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("log.csv", "schema.toml"):
        (tmp_path / name).touch()
    at = words.index("make")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-n", *words[at + 1 :]], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{block}: {done.stderr}"


@pytest.mark.parametrize(
    ("block", "words"), [pair for pair in shell_commands() if "docker" in pair[1]], ids=str
)
def test_docker_command_names_options_and_services_that_exist(
    block: Block, words: list[str]
) -> None:
    given = words[words.index("docker") + 1 :]
    assert given[0] == "compose", block
    parser = argparse.ArgumentParser(exit_on_error=False)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    for option in ("-d", "--wait", "--build"):
        up.add_argument(option, action="store_true")
    commands.add_parser("down").add_argument("-v", action="store_true")
    kill, run = commands.add_parser("kill"), commands.add_parser("run")
    kill.add_argument("-s", choices=["HUP", "USR2"])
    for option in ("--rm", "-T", "--no-deps"):
        run.add_argument(option, action="store_true")
    for command in (up, kill, run):
        at_least = "?" if command is up else 1
        command.add_argument("service", nargs=at_least, choices=sorted(COMPOSE_SERVICES))
    run.add_argument("container_command", nargs=argparse.REMAINDER)
    parser.parse_args(given[1:])


@pytest.mark.parametrize(("block", "words"), shell_commands(), ids=str)
def test_variable_of_a_command_is_a_setting_or_of_the_containers(
    block: Block, words: list[str]
) -> None:
    given = {word.partition("=")[0] for word in words if re.fullmatch(r"AFM_\w+=.*", word)}
    known = {f"AFM_{name.upper()}" for name in Settings.model_fields} | set(OF_CONTAINERS)
    assert given <= known, block
