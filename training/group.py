"""The processes that share a fit, or the reading of its log: each does its part, and all have the
whole.

They are torch.distributed's default group, of gloo; without one, a process is alone and its part is
the whole. Nothing is summed on the way: each process adds up what it is given, in the order of a
single process. So the weights are the same to the bit, however many share a fit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

Thing = TypeVar("Thing")


class MemberLostError(Exception):
    """Another process of the group has ended, or cannot be reached."""


def is_shared() -> bool:
    """Whether several processes share the fit."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def members() -> int:
    """How many processes share the fit."""
    return dist.get_world_size() if is_shared() else 1


def number() -> int:
    """Of this process, from 0."""
    return dist.get_rank() if is_shared() else 0


def ends(count: int) -> list[int]:
    """Where the parts of `count` things in a row end: part n begins at [n] and ends before
    [n + 1].
    """
    parts = members()
    return [count * part // parts for part in range(parts + 1)]


def own(ends: Sequence[int]) -> tuple[int, int]:
    """Where the part of this process begins, and before what it ends."""
    return ends[number()], ends[number() + 1]


def complete(arrays: Sequence[tuple[NDArray[Any], Sequence[int]]]) -> None:
    """Fill in, in place, what the other processes have computed of `arrays`, each [ends[-1], ...]
    with the `ends` of their parts. What a process sends of all arrays is one message.

    Raises:
        MemberLostError: another process has ended.
    """
    if not is_shared():
        return
    parts = [
        [np.ascontiguousarray(array[ends[n] : ends[n + 1]]) for array, ends in arrays]
        for n in range(members())
    ]
    buffers = [
        np.concatenate([part.reshape(-1).view(np.uint8) for part in parts[n]])
        for n in range(members())
    ]
    try:
        sent = [
            dist.broadcast(torch.from_numpy(buffer), src=n, async_op=True)
            for n, buffer in enumerate(buffers)
            if len(buffer)
        ]
        for each in sent:
            each.wait()
    except RuntimeError as error:
        raise MemberLostError(str(error)) from error
    for n, buffer in enumerate(buffers):
        if n != number():
            at = 0
            for array, ends in arrays:
                some = array[ends[n] : ends[n + 1]]
                some[...] = buffer[at : at + some.nbytes].view(array.dtype).reshape(some.shape)
                at += some.nbytes


def exchanged(
    sent: NDArray[Any], given: NDArray[np.int64], taken: NDArray[np.int64]
) -> NDArray[Any]:
    """What the processes have sent to this one, in their order: `taken` [n] rows from process n.
    `sent`: what this one sends, `given` [n] rows to process n.

    Raises:
        MemberLostError: another process has ended.
    """
    found = torch.empty((int(taken.sum()), *sent.shape[1:]), dtype=torch.from_numpy(sent).dtype)
    try:
        dist.all_to_all_single(found, torch.from_numpy(sent), taken.tolist(), given.tolist())
    except RuntimeError as error:
        raise MemberLostError(str(error)) from error
    exchanged: NDArray[Any] = found.numpy()
    return exchanged


def of_all(one: Thing) -> list[Thing]:
    """What each process gives, in their order.

    Raises:
        MemberLostError: another process has ended.
    """
    if not is_shared():
        return [one]
    found: list[Any] = [None] * members()
    try:
        dist.all_gather_object(found, one)
    except RuntimeError as error:
        raise MemberLostError(str(error)) from error
    return found


def agreed(whether: bool) -> bool:
    """What the first process says, to all of them.

    Raises:
        MemberLostError: another process has ended.
    """
    said = np.array([whether])
    complete([(said, [0, *[1] * members()])])
    return bool(said[0])


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
