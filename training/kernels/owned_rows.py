"""Rows of the tables that are divided among the processes that share a fit.

Each row has one owner, by the hash of its id: only that process adds up the row's slopes and moves
it on, with Adam's moments of it. For a batch, each process is first given the rows that its part
uses (`fetch`); afterwards it gives the slopes to their owners (`handed_over`). Both are by use, a
row each time that it is used, in the order of the batch: so an owner adds up in the order of a
single process, whose weights are these to the bit. Between two calls of `gather` a row is
up to date only at its owner, and where it was fetched.

>>> owners = owners_of(np.arange(6), 2)
>>> len(owners), int(owners.max())
(6, 1)
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training import group
from training.kernels.compiled import LANES, compiled, fetch_ahead
from training.kernels.lanes import AHEAD, Floats
from training.kernels.rows import GOLDEN

GATHERED = 1 << 20  # rows of a table that are looked at together
FAR_AHEAD = 2 * AHEAD  # uses, of which some are of rows that are not copied


class Uses(NamedTuple):
    """The N uses of the tables' rows in a batch: `ids` [N], the `owners` [N] of these rows, and how
    many uses of those of the part of process p are owned by process q, `counts` [p, q]; the part of
    this one is from `first` to before `last`.
    """

    ids: NDArray[np.int64]
    owners: NDArray[np.uint16]
    counts: NDArray[np.int64]
    first: int
    last: int

    @property
    def owned(self) -> NDArray[np.int64]:
        """The ids of the uses of this process's rows, in their order."""
        found: NDArray[np.int64] = self.ids[self.owners == group.number()]
        return found


def row_ends(rows: int) -> list[int]:
    """Where the processes' parts of a batch of so many rows end, which are whole blocks."""
    return [min(end * LANES, rows) for end in group.ends(-(-rows // LANES))]


def uses_of(ids: NDArray[np.int64]) -> Uses | None:
    """Of a batch of `ids` [B, F]; None where no other process shares the fit."""
    if not group.is_shared():
        return None
    (rows, slots), members = ids.shape, group.members()
    ids, ends = ids.reshape(-1), [end * slots for end in row_ends(rows)]
    owners = owners_of(ids, members)
    parts = [np.bincount(owners[one:other], minlength=members) for one, other in pairwise(ends)]
    return Uses(ids, owners, np.stack(parts), *group.own(ends))


def owners_of(ids: NDArray[np.int64], members: int) -> NDArray[np.uint16]:
    """The process, of so many, that owns each of the rows `ids` [N] of a table."""
    found = np.empty(len(ids), np.uint16)
    set_owners(ids, members, found)
    return found


def fetch(uses: Uses, embedding: Floats, linear: Floats) -> None:
    """Bring the rows of the tables [V, K] and [V, 1] up to date that this process's part uses.

    Raises:
        MemberLostError: another process has ended.
    """
    own = group.number()
    given, taken = uses.counts[:, own].copy(), uses.counts[own].copy()
    given[own] = taken[own] = 0
    sent = np.empty((given.sum(), embedding.shape[1] + 1), embedding.dtype)
    copy_out(uses, own, embedding, linear, sent)
    copy_in(uses, own, embedding, linear, starts(taken), group.exchanged(sent, given, taken))


def handed_over(uses: Uses, embedding: Floats, linear: Floats) -> tuple[Floats, Floats]:
    """The slopes of all uses of the rows that this process owns, in the order of `owned`, of those
    by the tables [N, K] and [N, 1], where this process's part is filled in.

    Raises:
        MemberLostError: another process has ended.
    """
    own, width = group.number(), embedding.shape[1]
    given, taken = uses.counts[own].copy(), uses.counts[:, own]
    from_others = taken.copy()
    given[own] = from_others[own] = 0
    sent = np.empty((given.sum(), width + 1), embedding.dtype)
    of_rows = np.empty((taken.sum(), width), embedding.dtype)
    of_weights = np.empty((taken.sum(), 1), embedding.dtype)
    first = starts(taken)[own]
    sort_by_owner(uses, own, embedding, linear, starts(given), sent, first, of_rows, of_weights)
    found = group.exchanged(sent, given, from_others)
    behind = first + taken[own]
    take_apart(found[:first], of_rows[:first], of_weights[:first])
    take_apart(found[first:], of_rows[behind:], of_weights[behind:])
    return of_rows, of_weights


def gather(*tables: Floats) -> None:
    """Have the whole of tables [V, K], of which each process that shares the fit has its own rows.

    Raises:
        MemberLostError: another process has ended.
    """
    if not group.is_shared():
        return
    for table in tables:
        for at in range(0, len(table), GATHERED):
            some = table[at : at + GATHERED]
            owners = owners_of(np.arange(at, at + len(some)), group.members())
            order = np.argsort(owners, kind="stable")
            counts = np.bincount(owners, minlength=group.members())
            by_owner = some[order]
            group.complete([(by_owner, [0, *np.cumsum(counts).tolist()])])
            some[order] = by_owner


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of so many things in a row begins."""
    found: NDArray[np.int64] = np.cumsum(counts) - counts
    return found


@compiled
def set_owners(ids: NDArray[np.int64], members: int, owners: NDArray[np.uint16]) -> None:
    """See `owners_of`. The bits of the hash are others than those that divide the rows of a process
    among its threads.
    """
    for n in range(len(ids)):
        mixed = (np.uint64(ids[n]) * np.uint64(GOLDEN)) >> np.uint64(32)
        owners[n] = ((mixed & np.uint64(0xFFFF)) * np.uint64(members)) >> np.uint64(16)


@compiled
def copy_row(out: Floats, row: Floats) -> None:
    """out = row [K]."""
    for k in range(len(row)):
        out[k] = row[k]


@compiled
def copy_out(uses: Uses, own: int, embedding: Floats, linear: Floats, out: Floats) -> None:
    """Into `out` [n, K + 1] the rows that this process owns of the uses of the others' parts."""
    at, width = 0, embedding.shape[1]
    for first, last in ((0, uses.first), (uses.last, len(uses.ids))):
        for n in range(first, last):
            later = n + FAR_AHEAD
            if later < last and uses.owners[later] == own:
                fetch_ahead(embedding, uses.ids[later])
                fetch_ahead(linear, uses.ids[later])
            if uses.owners[n] != own:
                continue
            copy_row(out[at, :width], embedding[uses.ids[n]])  # not written out: see lanes
            out[at, width] = linear[uses.ids[n], 0]
            at += 1


@compiled
def copy_in(
    uses: Uses,
    own: int,
    embedding: Floats,
    linear: Floats,
    places: NDArray[np.int64],
    given: Floats,
) -> None:
    """The rows `given` [n, K + 1], where those of owner p begin at places[p], into the tables."""
    width = embedding.shape[1]
    for n in range(uses.first, uses.last):
        later = n + FAR_AHEAD
        if later < uses.last and uses.owners[later] != own:
            fetch_ahead(embedding, uses.ids[later])
            fetch_ahead(linear, uses.ids[later])
        owner = uses.owners[n]
        if owner == own:
            continue
        at = places[owner]
        copy_row(embedding[uses.ids[n]], given[at, :width])
        linear[uses.ids[n], 0] = given[at, width]
        places[owner] = at + 1


@compiled
def sort_by_owner(
    uses: Uses,
    own: int,
    embedding: Floats,
    linear: Floats,
    places: NDArray[np.int64],
    out: Floats,
    place: int,
    own_embedding: Floats,
    own_linear: Floats,
) -> None:
    """The slopes of the uses of this process's part, each owner's in their order: of others' rows
    into `out` [n, K + 1], those of owner p from places[p] on, of its own from `place` on into
    `own_embedding` and `own_linear`.
    """
    width = embedding.shape[1]
    for n in range(uses.first, uses.last):
        owner = uses.owners[n]
        if owner == own:
            copy_row(own_embedding[place], embedding[n])
            own_linear[place, 0] = linear[n, 0]
            place += 1
            continue
        at = places[owner]
        copy_row(out[at, :width], embedding[n])
        out[at, width] = linear[n, 0]
        places[owner] = at + 1


@compiled
def take_apart(both: Floats, embedding: Floats, linear: Floats) -> None:
    """`both` [n, K + 1] into `embedding` [n, K] and `linear` [n, 1]."""
    width = embedding.shape[1]
    for n in range(len(both)):
        copy_row(embedding[n], both[n, :width])
        linear[n, 0] = both[n, width]
