"""Locks between processes: shared by many or held by one, and gone with their holder."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model.files.file_locks import is_free, locked, locked_passing, open_lock, take

HOLDER = """
import fcntl, sys, time
from pathlib import Path
from model.files.file_locks import open_lock
fcntl.flock(open_lock(Path(sys.argv[1])), fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_is_free_until_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_free(path)
    with locked(path):
        assert not is_free(path)
    assert is_free(path)


def test_a_passing_lock_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]

    def pass_often(_: int) -> None:
        for _ in range(50):
            with locked_passing(path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)  # for another thread to come in, if it can
                inside[0] -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(pass_often, range(4)))
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_shared_holder_keeps_others_from_holding_it_alone(tmp_path: Path) -> None:
    handle = open_lock(tmp_path / "lock")
    fcntl.flock(handle, fcntl.LOCK_SH)
    assert not is_free(tmp_path / "lock")
    os.close(handle)
    assert is_free(tmp_path / "lock")


def test_taking_gives_up_after_its_time(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        handle = open_lock(tmp_path / "lock")
        started = time.monotonic()
        assert not take(handle, 0.1)
        assert 0.1 <= time.monotonic() - started < 5
        os.close(handle)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not is_free(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert is_free(path)


def test_a_lock_is_for_its_owner_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o077 == 0


def test_a_child_process_does_not_inherit_a_lock(tmp_path: Path) -> None:
    handle = open_lock(tmp_path / "lock")
    fcntl.flock(handle, fcntl.LOCK_SH)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        os.close(handle)
        assert is_free(tmp_path / "lock")
