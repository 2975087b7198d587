"""afm+: attention that begins as FM, and holds FM, FwFM and AFM as special cases.

    logit = w0 + sum_i w_i x_i + |R| sum_{(i,j) in R} a_ij r_{f(i)f(j)} (p . e_ij)
    a_ij  = softmax over R of  h . ReLU(W e_ij + b) + u_{f(i)f(j)}

with e_ij and R as in AFM (model/nets/afm.py), f(i) the field of slot i, r as in FwFM. The softmax
divides by |R|, which the factor takes back: a pair of average attention counts as in FM, on however
many fields. h and u are 0, r and p are 1 at the start: attention is uniform, and the net *is* FM.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.nets.afm import AFM, masked_softmax
from model.nets.net import Net, NetSizes, SlotTensors, field_pairs


class AFMPlus(AFM):
    """AFM on a fitted FM or FwFM. A part that the settings switch off stays as it starts."""

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__(rows, fields, settings)
        pairs = field_pairs(self.fields)
        self.field_scores = nn.Parameter(torch.zeros(pairs))  # u
        self.field_weights = nn.Parameter(torch.ones(pairs))  # r
        self.field_scores.requires_grad_(settings.field_scores)
        self.field_weights.requires_grad_(settings.field_weights)
        for parameter in (self.h, *self.attention.parameters()):
            parameter.requires_grad_(settings.pair_scores)

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """|R| r_{f(i)f(j)} (p . e_ij) and a_ij, both [P, B]."""
        products, scores, both = self.products_and_scores(ids, values)
        products, scores = self.with_fields(products, scores, self.field_pair.unsqueeze(1))
        pairs = both.sum(0).to(products.dtype)  # (B)
        return products * pairs, masked_softmax(scores, both)

    def with_fields(self, products: Tensor, scores: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
        """r times the products, u added to the scores."""
        return products * self.field_weights[pair], scores + self.field_scores[pair]

    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """As in AFM, times |R|."""
        pairs = super().rank_second_order(context, ads, ad_partials, cross)
        features = (context.present.sum() + ads.present.sum(0)).to(ads.values.dtype)  # (N)
        return features * (features - 1) / 2 * pairs

    def start_from(self, fitted: Net, ids: Tensor, values: Tensor) -> None:
        """Take over a fitted FM or FwFM, exactly; W is scaled to pre-activations of unit size."""
        Net.start_from(self, fitted, ids, values)
        self.scale_attention(ids, values)
