"""Factorization machine (Rendle, ICDM 2010, eq. 1).

logit = w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j
"""

import torch
from torch import Tensor
from typing_extensions import override

from model.nets.net import PairNet, SlotTensors, close_sum, column_sums


class FM(PairNet):
    """Every pair counts the same."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """<v_i, v_j> x_i x_j [P, B]; no attention."""
        return self.pair_vectors(self.embedded(ids, values)).sum(-1), None

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_{i<j} <v_i, v_j> x_i x_j [B], without pair vectors wherever no pair is dropped."""
        if self.training and self.dropout.threshold:
            return super().second_order(ids, values)
        return self.pooled(self.embedded(ids, values)).sum(1)

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The ad's own pairs, and the sum of its vectors [N, 1 + K]."""
        vectors = self.embedded(ads.ids, ads.values)  # (A, N, K)
        own = column_sums(self.pooled(vectors).T)  # (N)
        return torch.cat([own.unsqueeze(1), close_sum(vectors)], 1)

    @override
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """The sums of the two sides' vectors stand for all pairs across."""
        of_context = self.embedded(context.ids, context.values)  # (C, 1, K)
        across = ad_partials[:, 1:] @ close_sum(of_context).squeeze(0)  # (N)
        return self.pooled(of_context).sum(1) + ad_partials[:, 0] + across
