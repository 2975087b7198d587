"""torch's threads sleep while they wait, so that training shares a busy machine well."""

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU OpenMP for its settings")
@pytest.mark.parametrize(("wanted", "used"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_wait_asleep_unless_told_otherwise(wanted: str | None, used: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment["OMP_DISPLAY_ENV"] = "true"  # the library tells its settings when torch loads it
    if wanted:
        environment["OMP_WAIT_POLICY"] = wanted
    printed = subprocess.run(
        [sys.executable, "-c", "import training.fit.step.loop"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert f"OMP_WAIT_POLICY = '{used}'" in printed
