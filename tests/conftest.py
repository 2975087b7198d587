"""What several folders of tests share: a small ad log, and real bundles fitted on it."""

import functools
import gc
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from httpx import create_ssl_context
from httpx._transports import default as httpx_transports

from model.bundle.bundle import Bundle
from model.files.file_locks import locked
from model.schema import Schema
from tiny import TINY_SCHEMA, tiny_rows

hypothesis.settings.register_profile("untimed", deadline=None)  # how fast is no test's business
hypothesis.settings.load_profile("untimed")


# Under xdist the first file compiles the kernels in one worker, while another one has files that
# need none; it would compile them at the same time, for itself.
FIRST = ("tests/integration/http/test_http.py", "tests/unit/data/test_d", "tests/unit/simulate/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        found = (at for at, place in enumerate(FIRST) if item.nodeid.startswith(place))
        return next(found, len(FIRST))

    if hasattr(config, "workerinput"):
        items.sort(key=rank)  # stable: the others stay in their order


def pytest_collection_finish() -> None:
    """Have the garbage collector walk the modules no more, which all are imported now: services in
    this process collect whenever a version goes live.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> None:
    """Each client of httpx reads the system's certificates, which takes longer than a request."""
    patch = pytest.MonkeyPatch()
    patch.setattr(httpx_transports, "create_ssl_context", functools.cache(create_ssl_context))


@pytest.fixture(scope="session")
def tiny_schema() -> Schema:
    return Schema.parse(TINY_SCHEMA)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of the session share."""
    home = tmp_path_factory.getbasetemp()
    return home.parent if "PYTEST_XDIST_WORKER" in os.environ else home


@pytest.fixture(scope="session")
def make_bundle(
    session_folder: Path,
    tiny_schema: Schema,
) -> Callable[..., Bundle]:
    """A real bundle, fitted and exported: `make_bundle("afm", seed=1, task="click")`. Made once
    for each net, seed and task, and shared by all workers: copy it before harming it.
    """
    from training.config import Config, NetName, Step
    from training.data.log import Log
    from training.fit.fit import fit
    from training.fit.step.watcher import Watcher

    def made(net: NetName = "afm", seed: int = 1, task: str = "click") -> Bundle:
        out = session_folder / f"bundle-{net}-{seed}-{task}"
        with locked(out.with_suffix(".lock")):
            if not out.exists():
                fitted(out, net, seed, task)
        return Bundle.open(out)

    def fitted(out: Path, net: NetName, seed: int, task: str) -> None:
        rows = tiny_rows(2000, seed=seed)  # a few hundred are held out: every net gains
        columns = {name: [row[name] for row in rows] for name in tiny_schema.fields}
        labels = np.array([row["click"] for row in rows], np.float32)
        if task == "regression":
            labels = 10 * labels - 40
        ranked = task == "ranking"
        log = Log(columns, labels, group=np.arange(len(rows)) // 5 if ranked else None)
        schema = tiny_schema
        if task != "click":
            named = {"task": task, "group": "visit" if ranked else None}
            # not model_copy, which would take the digest of this one along
            schema = Schema.model_validate({**tiny_schema.model_dump(), **named})
        step = Step(epochs=3, batch=128, learning_rate=0.02)
        config = Config(net=net, embedding=4, attention_size=4, fit=step, attention=step)
        fit(log, None, None, schema, config, out, seed, Watcher())

    return made


@pytest.fixture(scope="session")
def tiny_bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real logs; tests that need it skip where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AFM_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set AFM_TEST_DATA")
    return folder
