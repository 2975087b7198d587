"""Factorization machine (Rendle, ICDM 2010, eq. 1).

logit = w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j
"""

from torch import Tensor

from model.nets.net import EmbeddingNet


class FM(EmbeddingNet):
    """Every pair counts the same."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """<v_i, v_j> x_i x_j [P, B]; no attention."""
        return self.pair_vectors(self.embedded(ids, values)).sum(-1), None

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Logits [B], by ((sum_i v_i x_i)^2 - sum_i (v_i x_i)^2) / 2 (Rendle's lemma 3.1) wherever
        no pair is dropped: F vectors instead of P.
        """
        if self.training and self.dropout.threshold:
            return super().forward(ids, values)
        embedded = self.embedded(ids.T, values.T)  # (F, B, K)
        pairs = (embedded.sum(0).square() - embedded.square().sum(0)).sum(1) / 2  # (B)
        return self.bias + self.linear_terms(ids, values).sum(1) + pairs
