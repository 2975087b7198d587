"""Logs: one JSON object a line on stderr, the web server's own lines included."""

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import logging
import structlog
from service.observe.logs import configure_logging
from service.settings import Settings
configure_logging(Settings.load(log_level="{level}", log_format="{form}"))
structlog.get_logger("service.test").info("version is live", version="v1")
structlog.get_logger("service.test").debug("detail")
logging.getLogger("uvicorn.error").info("Started %s", "parent")
try:
    {{}}["secret-42"]
except KeyError:
    structlog.get_logger("service.test").exception("poll failed")
"""


def logged(level: Any = "info", form: Any = "json") -> Any:
    script = SCRIPT.format(level=level, form=form)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    return run.stderr


def test_each_line_is_an_object_with_its_time_level_and_logger() -> None:
    entries = [json.loads(line) for line in logged().splitlines()]
    assert [entry["event"] for entry in entries] == [
        "version is live",
        "Started parent",
        "poll failed",
    ]
    assert all({"timestamp", "level", "logger"} <= entry.keys() for entry in entries)
    assert entries[0]["version"] == "v1"


def test_an_exception_is_logged_by_its_kind_and_place_and_without_its_text() -> None:
    for form in ("json", "console"):
        assert "secret-42" not in logged(form=form)
    entry = json.loads(logged().splitlines()[-1])
    assert entry["exception"] == "KeyError"
    assert entry["where"] == ["<string>:11 <module>"]


def test_the_level_decides_what_is_logged() -> None:
    assert len(logged("debug").splitlines()) == 4
    assert [json.loads(line)["event"] for line in logged("error").splitlines()] == ["poll failed"]


def test_people_get_lines_that_are_not_json() -> None:
    first = logged(form="console").splitlines()[0]
    assert "version is live" in first
    assert not first.startswith("{")
    assert "\x1b" not in first  # no colours where stderr is no terminal
