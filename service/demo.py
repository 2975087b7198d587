"""The made-up model of `afm-serve demo`: fitted once, by the trainer's own commands, and kept."""

import os
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from importlib.util import find_spec
from pathlib import Path

from service.errors import SettingsError
from service.http.listening import bound
from service.http.server import serve
from service.settings import Settings
from service.store.bundle_store import BundleStore
from service.store.embedded_redis import EmbeddedRedis
from service.store.version_store import VersionStore
from service.versions.model_choice import EXAMPLE
from service.versions.publish import publish

ROWS = 30_000  # of its log: few enough to be fitted in seconds
OPEN_SECONDS = 60.0
OF_A_SERVICE = (
    "AFM_REDIS_URL",
    "AFM_REDIS_URL_FILE",
    "AFM_BUNDLES",
    "AFM_MODEL",
    "AFM_HOST",
    "AFM_API_KEYS",
)


def fitted(home: Path, rows: int = ROWS) -> Path:
    """The bundle of a log of so many rows, drawn and fitted under `home` where there is none yet.

    Raises:
        SettingsError: the trainer is not installed, or one of its commands failed.
    """
    bundle = home / "bundle"
    if (bundle / "manifest.json").exists():
        return bundle
    found = find_spec("training")
    if found is None or find_spec("torch") is None or not found.submodule_search_locations:
        raise SettingsError(
            "the demo fits its model on this machine, and the trainer is not installed: "
            "pip install 'ctr-afm[serve,train]'"
        )
    config = Path(found.submodule_search_locations[0]) / "configs" / "example.toml"
    log = home / "log"
    print(f"afm-serve: drawing {rows:,} ad impressions and fitting a model, once", file=sys.stderr)
    _train("simulate", "--rows", str(rows), "--out", str(log))
    schema = "--schema", str(log / "schema.toml")
    _train(
        "fit", str(log / "train.parquet"), *schema, "--config", str(config), "--out", str(bundle)
    )
    return bundle


def demonstrate(port: str | None, *, browser: bool) -> None:
    """Serve the made-up model only on this machine, until a signal ends it, and open its page.

    Raises:
        SettingsError: the port cannot be listened on; else see `fitted`, and `serve`.
    """
    for name in OF_A_SERVICE:  # nobody's own service is touched
        os.environ.pop(name, None)
    found = Settings.load(port=port)
    settings = Settings.load(port=port, model=EXAMPLE, host="127.0.0.1", home=found.home / "demo")
    with bound(settings.host, settings.port):
        pass  # before the model is fitted for a service that could not start
    bundle = fitted(settings.home)
    with EmbeddedRedis(settings.home) as redis:
        store = VersionStore(redis.url, settings.model)
        publish(bundle, store, BundleStore(settings.bundle_directory), force=True)
        store.close()
        address = f"http://127.0.0.1:{settings.port}/"
        print(f"open {address} to see why each ad scores as it does; Ctrl-C ends it", flush=True)
        if browser:
            open_soon(address, settings.port)
        serve(settings, redis.url)


def open_soon(address: str, port: int) -> None:
    """Open the page at this address in the machine's browser, once somebody listens there."""

    def wait() -> None:
        end = time.monotonic() + OPEN_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                webbrowser.open(address)
                return

    threading.Thread(target=wait, name="demo", daemon=True).start()


def _train(*arguments: str) -> None:
    run = [sys.executable, "-P", "-m", "training.cli", *arguments]
    done = subprocess.run(run, check=False, stdout=sys.stderr)  # noqa: S603  our own command
    if done.returncode:
        raise SettingsError(f"afm-train {arguments[0]} failed; what it said is above")
