"""Field-weighted factorization machine (Pan et al., WWW 2018, arXiv 1806.03514, eq. 5).

    logit = w0 + sum_i w_i x_i + sum_{i<j} r_{f(i)f(j)} <v_i, v_j> x_i x_j

f(i) is the field of slot i: the slots of a multi-valued field share its weights, and two values of
one field have a weight of their own, r_{f f}.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from model.nets.net import NetSizes, PairNet, SlotTensors, close_sum, field_pairs


class FwFM(PairNet):
    """Pairs weighted by their fields. All weights are 1 at the start, and so it begins as FM."""

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__(rows, fields, settings)
        self.field_weights = nn.Parameter(torch.ones(field_pairs(self.fields)))

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """r_{f(i)f(j)} <v_i, v_j> x_i x_j [P, B]; no attention."""
        products = close_sum(self.pair_vectors(self.embedded(ids, values)), 2)  # (P, B)
        return products * self.field_weights[self.field_pair].unsqueeze(1), None

    @override
    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_{i<j} r_{f(i)f(j)} <v_i, v_j> x_i x_j [B]."""
        pairs = self.pair_vectors(self.embedded(ids, values))  # (P, B, K)
        return self._weighted(pairs, self.field_pair)

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The ad's own pairs [N, 1]."""
        return self._within(ads, self.embedded(ads.ids, ads.values)).unsqueeze(1)

    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """An ad's vector meets the sum of the context's, weighted for its field."""
        of_context, of_ads = (self.embedded(side.ids, side.values) for side in (context, ads))
        met = self.field_weights[cross] @ of_context.squeeze(1)  # (A, K)
        across = close_sum(of_ads * met.unsqueeze(1), 0, 2)  # (N)
        return self._within(context, of_context) + ad_partials[:, 0] + across

    def _within(self, side: SlotTensors, vectors: Tensor) -> Tensor:
        one, other = side.pairs_of(vectors)  # (P, n, K)
        return self._weighted(one * other, side.field_pair)

    def _weighted(self, pairs: Tensor, field_pair: Tensor) -> Tensor:
        # sum_ij r e_ij [n] of e_ij [P, n, K]: a product of matrices first, as it costs the least
        met = self.field_weights[field_pair] @ pairs.flatten(1)  # (n*K)
        return close_sum(met.view(pairs.shape[1:]), 1)
