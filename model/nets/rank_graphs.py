"""The two graphs of one context with its N ads: a logit is a sum, or a softmax, over parts, and
each part is computed as seldom as can be.

                        C context slots          A slots of an ad
    C context slots     once a request           once an ad and request: RankGraph
    A slots of an ad                             once an ad and version: AdsGraph

    AdsGraph:   ids, values [N, A] -> ad_partials [N, D], kept for as long as the version lives
    RankGraph:  context_ids, context_values [1, C], ids, values [N, A], ad_partials [N, D]
                -> probability [N], logit [N], the same as PredictGraph's of the N whole rows

`ad_partials` begins with the ad's linear terms, summed; what follows is the net's own
(`Net.ad_partials`). For AFM that is one pair in place of the ad's own. Of any part of the pairs,
with scores s and products p . e, the larger softmax needs to know only Z = sum exp(s) and
S = sum exp(s) p . e, and a single pair of score log Z and product S / Z has the same two:

    sum_ij a_ij p . e_ij = sum_parts Z_part (S_part / Z_part) / sum_parts Z_part

The pairs across are a product of matrices, whose left side is the ads' vectors and whose right side
is made of the context once: [N*A, K] x [K, C*T] for the scores, [N*A, K] x [K, C] for the products.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.manifest import Calibration
from model.nets.graphs import PredictGraph
from model.nets.net import Net, SlotTensors, close_sum, field_pair_of
from model.pairs import pair_slots


class _SlotTensorsOf(nn.Module):
    # the slots of one side, and its pairs, as constants of a graph

    def __init__(self, fields: np.ndarray) -> None:
        super().__init__()
        first, second = pair_slots(len(fields))
        tables = (fields, first, second, field_pair_of(fields[first], fields[second]))
        for number, table in enumerate(tables):
            self.register_buffer(f"table_{number}", torch.from_numpy(table), persistent=False)

    def forward(self, ids: Tensor, values: Tensor) -> SlotTensors:
        return SlotTensors(ids.T, values.T, *(self.get_buffer(f"table_{n}") for n in range(4)))


def _fields_of(net: Net, candidate: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    fields, of_ads = np.array(net.slot_fields, dtype=np.int64), np.array(candidate, dtype=bool)
    return fields[~of_ads], fields[of_ads]


class AdsGraph(nn.Module):
    """ids int64 [N, A], values float32 [N, A] -> ad_partials [N, D].

    `candidate` [F]: which of the slots are the ads'; at least one is, and one is not.
    """

    def __init__(self, net: Net, candidate: Sequence[bool]) -> None:
        super().__init__()
        self.net = net
        self.ads = _SlotTensorsOf(_fields_of(net, candidate)[1])

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor]:
        """See the class."""
        linear = close_sum(self.net.linear_terms(ids, values), 1).unsqueeze(1)  # (N, 1)
        return (torch.cat([linear, self.net.ad_partials(self.ads(ids, values))], 1),)


class RankGraph(PredictGraph):
    """context_ids int64 [1, C], context_values float32 [1, C], ids int64 [N, A],
    values float32 [N, A], ad_partials float32 [N, D] -> probability [N], logit [N].

    `candidate`: see `AdsGraph`, of which `ad_partials` is.
    """

    cross: Tensor

    def __init__(
        self, net: Net, calibration: Calibration | None, candidate: Sequence[bool]
    ) -> None:
        super().__init__(net, calibration)
        context_fields, ad_fields = _fields_of(net, candidate)
        self.context, self.ads = _SlotTensorsOf(context_fields), _SlotTensorsOf(ad_fields)
        cross = field_pair_of(ad_fields[:, None], context_fields[None])
        self.register_buffer("cross", torch.from_numpy(cross), persistent=False)

    def forward(  # type: ignore[override]  # its rows come in parts
        self,
        context_ids: Tensor,
        context_values: Tensor,
        ids: Tensor,
        values: Tensor,
        ad_partials: Tensor,
    ) -> tuple[Tensor, ...]:
        """See the class."""
        linear = close_sum(self.net.linear_terms(context_ids, context_values), 1)  # (1)
        linear = linear + ad_partials[:, 0]  # (N)
        context, ads = self.context(context_ids, context_values), self.ads(ids, values)
        second = self.net.rank_second_order(context, ads, ad_partials[:, 1:], self.cross)
        return self.calibrated(self.net.bias + linear + second)
