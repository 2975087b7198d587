"""What the commands of afm-serve print, and with which status they end."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from commands import Commands
from model.bundle.bundle import Bundle


def test_publish_says_what_it_did_and_versions_marks_the_active_one(
    commands: Commands, make_bundle: Callable[..., Bundle]
) -> None:
    first, second = make_bundle(seed=1), make_bundle(net="fm", seed=2)
    assert commands.run("versions").stdout == "nothing is published as model 'default'\n"
    printed = commands.run("publish", str(first.directory)).stdout
    assert (
        printed.splitlines()[0] == f"{first.version} (afm) published as model 'default'; is active"
    )
    printed = commands.run("publish", str(second.directory), "--no-activate").stdout
    assert printed.splitlines()[0] == (
        f"{second.version} (fm) published as model 'default'; "
        f"not active: afm-serve activate {second.version}"
    )
    table = commands.run("versions").stdout.splitlines()
    assert table[0].split() == ["version", "net", "created", "published"]
    marked = {line.split()[-4]: line.startswith("*") for line in table[1:]}
    assert marked == {first.version: True, second.version: False}
    assert commands.run("activate", second.version).returncode == 0
    printed = commands.run("rollback").stdout
    assert printed == f"{first.version} is active again as model 'default'\n"
    again = commands.run("publish", str(first.directory), "--no-wait").stdout
    assert again == (
        f"{first.version} (afm) was published before as model 'default'; is active\n"
        "  not compared: it is the active version\n"
    )


def test_a_model_by_name_is_apart_from_the_default_one(
    commands: Commands, tiny_bundle: Bundle
) -> None:
    commands.publish(tiny_bundle.directory, "--model", "ads")
    assert "nothing is published" in commands.run("versions").stdout
    assert tiny_bundle.version in commands.run("versions", "--model", "ads").stdout
    assert tiny_bundle.version in commands.run("versions", AFM_MODEL="ads").stdout


@pytest.mark.parametrize(
    ("args", "env", "status", "said"),
    [
        (("publish", "nowhere"), {}, 2, "nowhere: not a bundle"),
        (("activate", "v9"), {}, 2, "no version 'v9'"),
        (("rollback",), {}, 2, "no earlier version"),
        (
            ("versions",),
            {"AFM_REDIS_URL": "redis://u:secret@127.0.0.1:1"},
            3,
            "redis://u@127.0.0.1:1",
        ),
        (("versions",), {"AFM_DRAIN_SECONDS": "soon"}, 2, "AFM_DRAIN_SECONDS"),
        (("run", "--port", "http"), {}, 2, "AFM_PORT"),
        (
            ("run", "--host", "192.0.2.1"),
            {"AFM_ALLOW_ANONYMOUS": "1"},
            2,
            "cannot listen on 192.0.2.1:8000",
        ),
        (("run", "--host", "192.0.2.1"), {}, 2, "set AFM_API_KEYS"),
    ],
)
def test_a_fault_of_the_user_is_one_line_and_a_status(
    commands: Commands, args: Any, env: Any, status: int, said: str
) -> None:
    done = commands.run(*args, **env)
    assert done.returncode == status
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("afm-serve: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_publish_without_redis_writes_nothing(commands: Commands, tiny_bundle: Bundle) -> None:
    url = "redis://u:secret@127.0.0.1:1/0"
    done = commands.run("publish", str(tiny_bundle.directory), AFM_REDIS_URL=url)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "redis://u@127.0.0.1:1/0" in done.stderr
    assert "secret" not in done.stderr
    assert list(commands.home.rglob("*")) == []


def test_help_names_every_command(commands: Commands) -> None:
    printed = commands.run("--help").stdout
    for command in ("run", "publish", "versions", "activate", "rollback"):
        assert re.search(rf"^  {command} ", printed, re.MULTILINE), command
        assert commands.run(command, "--help").returncode == 0
