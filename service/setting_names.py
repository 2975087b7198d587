"""Which `AFM_*` variables there are: an unknown one is an error, not silence."""

import difflib
import os
from collections.abc import Iterable

from service.errors import SettingsError

# of docker-compose.yml: its trainer, its ports and its limits; they may stand beside the settings
OF_CONTAINERS = (
    *("AFM_BIND", "AFM_CONFIG", "AFM_CPUS", "AFM_DATA", "AFM_EXAMPLE_ROWS", "AFM_FIT"),
    *("AFM_MEMORY", "AFM_REDIS_MEMORY", "AFM_REPLICAS", "AFM_SCHEMA", "AFM_SERVICE_PORT"),
    *("AFM_STOP_GRACE", "AFM_TEST", "AFM_TLS"),
    *("AFM_TRAIN", "AFM_TRAINER_CPUS", "AFM_TRAINER_MEMORY"),
)
# what once were settings; each is a constant now, or follows from another setting. docker/check.sh
# reads these lines too
REMOVED = {
    "AFM_AD_CACHE_ENTRIES": "AFM_AD_CACHE_BYTES limits the cache of ads",
    "AFM_GZIP_BYTES": "it is a constant, 16384",
    "AFM_MAX_DEPTH": "it is a constant, 16",
    "AFM_MAX_EXPLAIN_ROWS": "an /explain has at most 1000 rows, and no more than AFM_MAX_ROWS",
    "AFM_MAX_KEYS": "it is a constant, 1000",
    "AFM_MAX_LIST_LENGTH": "it is a constant, 1000",
    "AFM_MAX_ROWS_IN_FLIGHT": "it is four times AFM_MAX_ROWS",
    "AFM_MAX_TEXT_LENGTH": "it is a constant, 16384",
    "AFM_MAX_WHATIF_ROWS": "it is a constant, 100000",
    "AFM_POLL_SECONDS": "it is a constant, 0.4",
    "AFM_PREDICTION_LOG_BYTES": "it is a constant, 268435456",
    "AFM_REDIS_TIMEOUT_MS": "it is a constant, 1000",
    "AFM_SHADOW_RANK": "it is a constant, 0.5",
    "AFM_SHADOW_UNKNOWN": "it is a constant, 0.1",
    "AFM_SHUTDOWN_SECONDS": "it is a constant, 10",
}
OF_TESTS = ("AFM_TEST_DATA",)


def check_names(settings: Iterable[str]) -> None:
    """Look at every variable of the environment that begins as a setting does.

    Raises:
        SettingsError: there is no such setting; names the one that is nearest, or says what came
            in the place of one that was removed.
    """
    known = [*(f"AFM_{name.upper()}" for name in settings), *OF_CONTAINERS]
    for name in sorted(os.environ):
        if name in REMOVED:
            raise SettingsError(f"{name} is no longer a setting: {REMOVED[name]}")
        if name.startswith("AFM_") and name not in (*known, *OF_TESTS):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{name}: there is no such setting; the nearest one is {near}")
