"""docs/clients.md against the files that `make clients` runs, and against the settings."""

import re
from pathlib import Path

import pytest

from narrowing import not_none
from service.http.worker import SHUTDOWN_SECONDS
from service.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
FILES = [path for path in (ROOT / "tests" / "clients").rglob("*") if path.is_file()]
TRIED = "\n".join(path.read_text(encoding="utf-8") for path in FILES if path.suffix != ".pyc")


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language != "sh"])
def test_a_snippet_is_a_part_of_a_file_of_the_clients(text: str) -> None:
    assert text in TRIED


def test_the_page_has_a_snippet_for_every_client_and_proxy_that_it_names() -> None:
    counted = [language for language, _ in BLOCKS]
    assert sorted(counted) == sorted(
        ["java", "java", "go", "js", "python", "python", "sh", "nginx", "haproxy", "yaml", "yaml"]
    )


def test_the_times_of_a_stop_fit_into_what_kubernetes_waits() -> None:
    grace = int(not_none(re.search(r"terminationGracePeriodSeconds: (\d+)", PAGE))[1])
    drain, keep = (
        Settings.model_fields[name].default for name in ("drain_seconds", "keep_alive_seconds")
    )
    assert drain + SHUTDOWN_SECONDS < grace
    assert f"`AFM_DRAIN_SECONDS` ({drain:g})" in PAGE
    assert f"for up to {SHUTDOWN_SECONDS} s more" in PAGE
    assert f"`AFM_KEEP_ALIVE_SECONDS` ({keep})" in PAGE
    assert drain > 6  # HAProxy's 2 s x 3


def test_haproxy_s_example_asks_the_path_that_says_whether_the_service_is_ready() -> None:
    assert "option httpchk GET /readyz" in PAGE
