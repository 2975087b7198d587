"""The processes that share a fit: each computes its part of a batch, and all have the whole.

They are torch.distributed's default group, of gloo; without one, a process is alone and its part is
the whole. Parts are gathered and never summed on the way: each process adds all of them up itself,
in the order of a single process. So the weights are the same to the bit, however many share a fit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from numpy.typing import NDArray


class MemberLostError(Exception):
    """Another process of the group has ended, or cannot be reached."""


def is_shared() -> bool:
    """Whether several processes share the fit."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def ends(count: int) -> list[int]:
    """Where the parts of `count` things in a row end: part n begins at [n] and ends before
    [n + 1].
    """
    parts = dist.get_world_size() if is_shared() else 1
    return [count * part // parts for part in range(parts + 1)]


def own(ends: Sequence[int]) -> tuple[int, int]:
    """Where the part of this process begins, and before what it ends."""
    number = dist.get_rank() if is_shared() else 0
    return ends[number], ends[number + 1]


def complete(arrays: Sequence[NDArray[Any]], ends: Sequence[int]) -> None:
    """Fill in, in place, what the other processes have computed of `arrays` [ends[-1], ...], each
    its own part of all of them.

    Raises:
        MemberLostError: another process has ended.
    """
    if not is_shared():
        return
    try:
        sent = [
            dist.broadcast(torch.from_numpy(array[ends[n] : ends[n + 1]]), src=n, async_op=True)
            for array in arrays
            for n in range(len(ends) - 1)
            if ends[n] < ends[n + 1] and array.size
        ]
        for each in sent:
            each.wait()
    except RuntimeError as error:
        raise MemberLostError(str(error)) from error


def leave() -> None:
    """Be alone from here on."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def joined(first: str, number: int, members: int, silent: timedelta) -> Iterator[None]:
    """Be number `number` of a group of so many, until the end or until it leaves.

    Args:
        first: where number 0 listens, as tcp://host:port.
        number: of this process, from 0.
        members: how many processes there are.
        silent: after which time without a word another process counts as lost.

    Raises:
        MemberLostError: not all of them came.
    """
    try:
        dist.init_process_group(
            "gloo", init_method=first, rank=number, world_size=members, timeout=silent
        )
    except RuntimeError as error:
        raise MemberLostError(str(error)) from error
    try:
        yield
    finally:
        leave()
