"""The pages in a real browser, where one is installed: `make pages` installs what drives it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, Serving
from model.bundle.bundle import Bundle

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make pages"
    )
    found = os.environ.get("AFM_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as driver:
        # as root, and in containers, Chromium's own sandbox cannot be had
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def serving(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    """`serving(bundle, **settings)`: a service of it, with what a context manager gives."""

    @contextmanager
    def run(*bundles: Bundle, **env: Any) -> Iterator[Serving]:
        commands = Commands(tmp_path_factory.mktemp("served"))
        for bundle in bundles:
            commands.publish(bundle.directory, "--force")
        with commands.serving(**env) as served:
            served.wait_until("/readyz", lambda answer: answer.status_code == 200)
            yield served

    return run


@pytest.fixture(scope="session")
def tiny_service(serving: Callable[..., Any], tiny_bundle: Bundle) -> Iterator[Serving]:
    with serving(tiny_bundle) as served:
        yield served


class Watched:
    """A page, and what must not happen on it: `faults` of its console, requests `elsewhere`."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        origin = url.partition("#")[0].rpartition("/")[0]
        self.page.on("request", lambda asked: self._asked(asked.url, origin))
        self.page.goto(url)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _asked(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.elsewhere.append(url)

    def asked(self) -> dict[str, Any]:
        """The request that the page shows the answer of."""
        request: dict[str, Any] = self.page.evaluate("JSON.parse(document.body.dataset.shown)")
        return request

    def shows(self, request_changed: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the page shows the answer of a request like that."""
        for _ in range(600):
            if request_changed(found := self.asked()):
                return found
            self.page.wait_for_timeout(20)
        raise AssertionError(f"the page still shows {self.asked()}")


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., Watched]]:
    """`watched(url, **context)`: a page that is open; at the end of the test it had no fault."""
    opened: list[Watched] = []

    def open_page(url: str, *, ready: str = "#page:not([hidden])", **context: Any) -> Watched:
        one = Watched(browser, url, **context)
        opened.append(one)
        if ready:
            one.page.wait_for_selector(ready)
        return one

    yield open_page
    for one in opened:
        one.context.close()
    assert [fault for one in opened for fault in one.faults] == []
    assert [url for one in opened for url in one.elsewhere] == []


@pytest.fixture(scope="session")
def coupon_bundle(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A quick fit of the coupon log, by a schema as it is drafted."""
    from model.schema import Schema
    from training.config import Config, Step
    from training.data.files import data_of
    from training.data.read_log import read_log
    from training.draft.draft_schema import write_draft
    from training.fit.fit import fit
    from training.fit.step.watcher import Watcher

    home = tmp_path_factory.mktemp("coupon")
    data = data_of([test_data / "coupon" / "coupon.csv.gz"], None)
    assert data is not None
    write_draft(data, "Y", home / "schema.toml")
    schema = Schema.load(home / "schema.toml")
    step = Step(epochs=2, batch=512, learning_rate=0.02)
    config = Config(net="afm+", embedding=4, attention_size=4, fit=step, attention=step)
    fit(read_log(data, schema), None, None, schema, config, home / "bundle", 1, Watcher())
    return Bundle.open(home / "bundle")


@pytest.fixture(scope="session")
def private_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny log, whose field `device` is private."""
    import numpy as np

    from model.schema import Schema
    from tiny import TINY_SCHEMA, tiny_rows
    from training.config import Config, Step
    from training.data.log import Log
    from training.fit.fit import fit
    from training.fit.step.watcher import Watcher

    private = TINY_SCHEMA.replace("[fields.device]", "[fields.device]\nprivate = true")
    schema = Schema.parse(private)
    rows = tiny_rows(600)
    columns = {name: [row[name] for row in rows] for name in schema.fields}
    log = Log(columns, np.array([row["click"] for row in rows], np.float32))
    step = Step(epochs=2, batch=128, learning_rate=0.02)
    config = Config(net="fm", embedding=4, attention_size=4, fit=step, attention=step)
    out = tmp_path_factory.mktemp("private") / "bundle"
    fit(log, None, None, schema, config, out, 1, Watcher())
    return Bundle.open(out)
