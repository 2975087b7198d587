"""onnxruntime's own telemetry, on unless a setting turns it off, stays off in this project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Where one of these is set, onnxruntime keeps quiet by itself.
QUIET_ANYWAY = (
    *("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID"),
    *("BITBUCKET_BUILD_NUMBER", "JENKINS_URL", "GITLAB_CI", "ORT_DISABLE_TELEMETRY"),
)


@pytest.mark.parametrize("module", ["service.cli", "training.cli", "model.scorer"])
def test_a_command_leaves_no_device_id_and_no_event_store(module: str, tmp_path: Path) -> None:
    loud = {k: v for k, v in os.environ.items() if k not in QUIET_ANYWAY and "ORT_" not in k}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    program = f"import {module}, onnxruntime; onnxruntime.get_available_providers()"
    subprocess.run([sys.executable, "-c", program], env={**loud, **home}, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
