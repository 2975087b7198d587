"""Factorization machine (Rendle, ICDM 2010, eq. 1).

logit = w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j
"""

from torch import Tensor

from model.nets.net import PairNet, Side, pooled


class FM(PairNet):
    """Every pair counts the same."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """<v_i, v_j> x_i x_j [P, B]; no attention."""
        return self.pair_vectors(self.embedded(ids, values)).sum(-1), None

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_{i<j} <v_i, v_j> x_i x_j [B], without pair vectors wherever no pair is dropped."""
        if self.training and self.dropout.threshold:
            return super().second_order(ids, values)
        return pooled(self.embedded(ids, values)).sum(1)

    def second_order_of(self, context: Side, ads: Side, cross: Tensor) -> Tensor:  # noqa: ARG002  all pairs count the same
        """Of each side the sum of its vectors, and of their squares."""
        sides = (self.embedded(side.ids, side.values) for side in (context, ads))
        return pooled(*sides).sum(1)
