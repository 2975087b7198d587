"""What several folders of tests share: a small ad log, and real bundles fitted on it."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.bundle import Bundle
from model.schema import Schema

TINY_SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.hour]
kind = "categorical"
missing = "absent"
[fields.interests]
kind = "multivalue"
max_values = 3
[fields.ad]
kind = "categorical"
role = "candidate"
[fields.price]
kind = "numeric"
role = "candidate"
transform = "log1p"
"""

TinyLog = tuple[dict[str, list[object]], np.ndarray]


@pytest.fixture(scope="session")
def tiny_schema() -> Schema:
    return Schema.parse(TINY_SCHEMA)


def tiny_rows(rows: int = 600, seed: int = 0) -> list[dict[str, object]]:
    """Rows as JSON would hold them, with nulls and lists; `click` stands beside the fields."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rows):
        device = str(rng.choice(["ios", "android", "web"]))
        ad = f"a{rng.integers(12)}"
        chance = 0.7 if (device == "ios") == (ad in ("a1", "a2", "a3")) else 0.2
        interests = rng.choice(["cars", "food", "news", "golf"], rng.integers(0, 4), replace=False)
        drawn.append(
            {
                "device": device,
                "hour": int(rng.integers(24)) if rng.random() > 0.1 else None,
                "interests": interests.tolist() or None,
                "ad": ad,
                "price": round(float(rng.gamma(2, 3)), 2) if rng.random() > 0.1 else None,
                "click": int(rng.random() < chance),
            }
        )
    return drawn


@pytest.fixture(scope="session")
def make_bundle(
    tmp_path_factory: pytest.TempPathFactory, tiny_schema: Schema
) -> Callable[..., Bundle]:
    """A real bundle, fitted and exported: `make_bundle("afm", seed=1)`. Made once for each
    pair of net and seed, and shared: copy it before harming it.
    """
    from training.config import Config, Step
    from training.data import Log
    from training.fit import fit
    from training.loop import Watcher

    home = tmp_path_factory.mktemp("bundles")

    def made(net: str = "afm", seed: int = 1) -> Bundle:
        out = home / f"{net}-{seed}"
        if not out.exists():
            rows = tiny_rows(seed=seed)
            columns = {name: [row[name] for row in rows] for name in tiny_schema.fields}
            log = Log(columns, np.array([row["click"] for row in rows], np.float32))
            step = Step(epochs=3, batch=128, learning_rate=0.02)
            config = Config(net=net, embedding=4, attention_size=4, fit=step, attention=step)
            fit(log, None, None, tiny_schema, config, out, seed, Watcher())
        return Bundle.open(out)

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
