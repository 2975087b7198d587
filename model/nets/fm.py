"""Factorization machine (Rendle, ICDM 2010, eq. 1).

logit = w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j
"""

import torch
from torch import Tensor
from typing_extensions import override

from model.nets.net import PairNet, SlotTensors, close_sum


class FM(PairNet):
    """Every pair counts the same."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """<v_i, v_j> x_i x_j [P, B]; no attention."""
        return close_sum(self.pair_vectors(self.embedded(ids, values)), 2), None

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_{i<j} <v_i, v_j> x_i x_j [B], without pair vectors wherever no pair is dropped."""
        if self.training and self.dropout.threshold:
            return super().second_order(ids, values)
        return close_sum(self.pooled(self.embedded(ids, values)), 1)

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The ad's own pairs, and the sum of its vectors [N, 1 + K]."""
        vectors = self.embedded(ads.ids, ads.values)  # (A, N, K)
        own = close_sum(self.pooled(vectors), 1)  # (N)
        return torch.cat([own.unsqueeze(1), close_sum(vectors, 0)], 1)

    @override
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """The sums of the two sides' vectors stand for all pairs across."""
        of_context = self.embedded(context.ids, context.values)  # (C, 1, K)
        across = close_sum(ad_partials[:, 1:] * close_sum(of_context, 0), 1)  # (N)
        return close_sum(self.pooled(of_context), 1) + ad_partials[:, 0] + across
