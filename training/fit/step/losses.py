"""What a net is fitted by: one plain function a loss, of scores, labels and weights, all [N].

Each is a weighted sum over the rows divided by their *number* N, with weights of mean 1: so a
penalty beside it counts N times as much beside the sum, and the losses of batches average to that
of the whole. The two for ranking compare only within groups: `groups` [N] says which rows are
ranked together, and lies sorted. A group whose labels are all equal has no order and adds nothing
to the sum; any other weighs as much as its rows. Rows of weight 0 are as good as absent.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

GroupLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def logistic(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy of logits, in nats a row."""
    each = functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    return (each * weights).mean()


def squared(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Squared distance of prediction and target, as in the AFM paper (section 3.2)."""
    return ((scores - labels).square() * weights).mean()


def pairwise(scores: Tensor, labels: Tensor, weights: Tensor, groups: Tensor) -> Tensor:
    """RankNet's cross-entropy (Burges et al., ICML 2005, its targets sure): the mean of
    log(1 + exp(s_j - s_i)) over the pairs of a group with y_i > y_j, a pair weighing w_i w_j.
    """
    member, sizes = _members(groups)
    group_count = len(sizes)
    lowest = _extreme(labels, member, group_count, "amin")
    better = torch.nonzero(labels > lowest[member]).squeeze(1)  # others are above nobody
    of_group = member[better]
    starts = sizes.cumsum(0) - sizes
    # each better row with every row of its group: i, and j from the group's start on
    count = sizes[of_group]
    i = better.repeat_interleave(count)
    before = (count.cumsum(0) - count).repeat_interleave(count)
    j = starts[of_group].repeat_interleave(count) + torch.arange(len(i)) - before
    above = labels[i] > labels[j]
    i, j = i[above], j[above]
    pair_weights = weights[i] * weights[j]
    each = functional.softplus(scores[j] - scores[i]) * pair_weights
    summed = _summed(each, member[i], group_count)
    total = _summed(pair_weights, member[i], group_count)
    return _over_groups(summed, total, weights, member)


def listwise(scores: Tensor, labels: Tensor, weights: Tensor, groups: Tensor) -> Tensor:
    """ListNet's cross-entropy of top-one chances (Cao et al., ICML 2007): softmax of the
    scores within a group against labels' shares.

    The labels go through 2^y - 1, NDCG's gain, and not through exp: a row that nobody clicked then
    has no chance to be the first one instead of 1/e of a click's (Bruch et al., ICTIR 2019).
    """
    member, sizes = _members(groups)
    group_count = len(sizes)
    counted = weights > 0
    highest = _extreme(torch.where(counted, labels, -1.0), member, group_count, "amax")
    lowest = _extreme(torch.where(counted, labels, torch.inf), member, group_count, "amin")
    top = _extreme(torch.where(counted, scores.detach(), -1e30), member, group_count, "amax")
    shares = torch.where(counted, scores - top[member], 0.0).exp() * weights
    logs = _summed(shares, member, group_count).clamp_min(1e-30).log() + top
    gains = (torch.exp2(labels) - 1) * weights * (highest > lowest)[member]
    each = (logs[member] - scores) * gains
    summed = _summed(each, member, group_count)
    total = _summed(gains, member, group_count)
    return _over_groups(summed, total, weights, member)


def _members(groups: Tensor) -> tuple[Tensor, Tensor]:
    # each row's group, counted from 0, and the sizes of the groups
    _, member, sizes = torch.unique_consecutive(groups, return_inverse=True, return_counts=True)
    return member, sizes


def _extreme(values: Tensor, member: Tensor, groups: int, which: str) -> Tensor:
    return values.new_zeros(groups).scatter_reduce(0, member, values, which, include_self=False)


def _summed(values: Tensor, member: Tensor, groups: int) -> Tensor:
    return values.new_zeros(groups).index_add(0, member, values)


def _over_groups(summed: Tensor, total: Tensor, weights: Tensor, member: Tensor) -> Tensor:
    # the groups' means, each weighing as much as its rows, over the number of rows
    known = total > 0
    means = torch.where(known, summed / torch.where(known, total, 1.0), 0.0)
    mass = _summed(weights, member, len(total))
    return (means * mass).sum() / len(weights)


RANKING: dict[str, GroupLoss] = {"pairwise": pairwise, "listwise": listwise}
