"""Attentional factorization machine (Xiao et al., IJCAI 2017, arXiv 1708.04617).

    logit = w0 + sum_i w_i x_i + p . sum_{(i,j) in R} a_ij e_ij              (eq. 6)
    e_ij  = (v_i * v_j) x_i x_j                                              (eq. 2)
    a_ij  = softmax over R of  h . ReLU(W e_ij + b)                          (eq. 5)

R holds the pairs of *present* features: a pair with an absent member has attention exactly 0 and
takes no share of the softmax; where R is empty the pair term is 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.nets.net import Net, PairNet, Settings


class AFM(PairNet):
    """Pairs weighted by an attention network. At the start p is 1 and attention is uniform."""

    def __init__(self, rows: int, fields: Sequence[int], settings: Settings) -> None:
        super().__init__(rows, fields, settings)
        self.attention = nn.Linear(settings.embedding, settings.attention)  # W and b
        self.h = nn.Parameter(torch.zeros(settings.attention))
        self.p = nn.Parameter(torch.ones(settings.embedding))

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """p . e_ij and a_ij, both [P, B]."""
        products, scores, both = self.products_and_scores(ids, values)
        return products, masked_softmax(scores, both)

    def products_and_scores(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """p . e_ij, h . ReLU(W e_ij + b), and whether a pair is in R; all [P, B]."""
        pairs = self.pair_vectors(self.embedded(ids, values))  # (P, B, K)
        present = values != 0  # (F, B)
        both = present.index_select(0, self.first) & present.index_select(0, self.second)  # (P, B)
        # all rows at once; h and p from the left, as a product with one column is as dear as with 8
        flat = pairs.flatten(0, 1)
        hidden = torch.relu(self.attention(flat))  # (P*B, T)
        scores = (self.h[None] @ hidden.T).view(both.shape)
        products = (self.p[None] @ flat.T).view(both.shape)
        return products, scores, both

    def start_from(self, fitted: Net, ids: Tensor, values: Tensor) -> None:
        """Take over a fitted FM, so that fitting goes on from its logits (the paper's pre-training,
        section 4.1, with p scaled).

        Uniform attention divides the pair term by |R|, so p starts at the typical |R| of the sample
        `ids`, `values` [B, F].
        """
        super().start_from(fitted, ids, values)
        self.scale_attention(ids, values)
        with torch.no_grad():
            present = (values != 0).sum(1, dtype=torch.float32)
            self.p.fill_(float((present * (present - 1) / 2).mean()))
            self.h.normal_(std=1e-3)

    def scale_attention(self, ids: Tensor, values: Tensor) -> None:
        """Draw W such that the pre-activations of the sample [B, F] have unit size, else attention
        stays flat: FM's embeddings are small and their products smaller.
        """
        with torch.no_grad():
            pairs = self.eval().pair_vectors(self.embedded(ids.T, values.T))  # (P, B, K)
            size = pairs[pairs.abs().sum(-1) > 0].square().mean().sqrt().nan_to_num(1.0)
            self.attention.weight.normal_().div_(size * self.settings.embedding**0.5)
            self.attention.bias.zero_()

    def penalised(self) -> dict[str, list[Tensor]]:
        """See `Net`; of the attention network W alone (eq. 7)."""
        return super().penalised() | {"l2_attention": [self.attention.weight]}

    @property
    def sizes(self) -> dict[str, int]:
        """See `Net`."""
        return super().sizes | {"attention": self.settings.attention}


def masked_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax of `scores` [P, B] over the `present` pairs, exactly 0 for the others; all 0 where
    none is present.
    """
    # finite, since -inf minus -inf would be NaN where no pair is present
    lowest = torch.full_like(scores, -1e30)
    top = torch.where(present, scores, lowest).amax(0, keepdim=True)
    # absent scores are kept from overflowing exp: inf * 0 would be NaN
    weights = torch.exp(torch.where(present, scores - top, lowest)) * present
    return weights / weights.sum(0, keepdim=True).clamp_min(1e-30)
