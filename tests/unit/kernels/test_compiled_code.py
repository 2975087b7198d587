"""Kernels have the same code in the process that compiles them and in those that read it from disk:
a fit that was killed while it was the first on its machine is resumed by the latter.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.kernels.compiled import can_compile

pytestmark = pytest.mark.skipif(not can_compile(), reason="Numba cannot be imported")

ROOT = Path(__file__).parents[3]
SLOPES = """
import torch
from test_passes import net_of, pass_of, rows_of, slopes_of

fields = [0, 0, 1, 1, 2, 3]
net = net_of("fwfm", fields, 8, 8, torch.float32)
found = slopes_of(net, pass_of(net), rows_of(200, fields, torch.float32))
print(b"".join(slopes.tobytes() for slopes in found.values()).hex())
"""


def slopes_in_a_new_process(cache: Path) -> str:
    paths = os.pathsep.join(map(str, (ROOT, Path(__file__).parent, ROOT / "tests" / "support")))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": paths}
    run = [sys.executable, "-c", SLOPES]
    return subprocess.run(
        run, env=environment, check=True, capture_output=True, text=True, timeout=300
    ).stdout


def test_compiled_kernel_gives_the_bits_of_the_one_read_from_disk(tmp_path: Path) -> None:
    compiled = slopes_in_a_new_process(tmp_path)
    assert list(tmp_path.rglob("*.nbc"))
    assert slopes_in_a_new_process(tmp_path) == compiled
