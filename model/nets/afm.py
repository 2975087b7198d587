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

from model.nets.net import Net, NetSizes, PairNet, SlotTensors

LEAST_SIZE = 0.01  # of pair vectors, as a share of what they are at the start
MASKED_SCORE = -1e30  # finite, since -inf minus -inf would be NaN where no pair is present


class AFM(PairNet):
    """Pairs weighted by an attention network. At the start p is 1 and attention is uniform."""

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
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
        products, scores = self.judged(pairs)
        return products, scores, both

    def judged(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """p . e_ij and h . ReLU(W e_ij + b), both [P, B], of e_ij [P, B, K]."""
        # all rows at once; h and p from the left: a product with one column takes as long as with 8
        flat = pairs.flatten(0, 1)
        hidden = torch.relu(self.attention(flat))  # (P*B, T)
        scores = (self.h[None] @ hidden.T).view(pairs.shape[:2])
        products = (self.p[None] @ flat.T).view(pairs.shape[:2])
        return products, scores

    def with_fields(self, products: Tensor, scores: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002  the paper's pairs know no fields
        """Products and scores after what the field `pair` of each adds; the same shape."""
        return products, scores

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The ad's own pairs, as the one pair that stands for them: score, product [N, 2]."""
        return torch.stack(self._as_one_pair(ads, self.embedded(ads.ids, ads.values)), 1)

    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """A softmax over the pairs across, with one pair for those within the context and one for
        those within the ad. One product of the ads' vectors with W diag(v_c), folded once, judges
        the pairs across without a vector a pair: W (v_c * v_a) = (W diag(v_c)) v_a.
        """
        of_context, of_ads = (self.embedded(side.ids, side.values) for side in (context, ads))
        within = torch.stack(self._as_one_pair(context, of_context), 1)  # (1, 2)
        of_context = of_context.squeeze(1)  # (C, K)
        flat = of_ads.transpose(0, 1).flatten(0, 1)  # (N*A, K)
        weight, bias = self.attention.weight, self.attention.bias
        folded = (of_context.unsqueeze(1) * weight).flatten(0, 1)  # (C*T, K)
        hidden = torch.relu(torch.addmm(bias.repeat(len(of_context)), flat, folded.T))  # (N*A, C*T)
        shape = (-1, len(ads.fields), len(of_context))  # (N, A, C)
        scores = (self.h[None] @ hidden.view(-1, len(self.h)).T).view(shape)
        products = (flat @ (of_context * self.p).T).view(shape)
        products, scores = self.with_fields(products, scores, cross)
        scores = scores + lowest(context).T + lowest(ads).T.unsqueeze(2)
        within = within + 0 * ad_partials  # (N, 2)
        scores = torch.cat([scores.flatten(1), within[:, :1], ad_partials[:, :1]], 1)
        products = torch.cat([products.flatten(1), within[:, 1:], ad_partials[:, 1:]], 1)
        return (torch.softmax(scores, 1) * products).sum(1)

    def _as_one_pair(self, side: SlotTensors, vectors: Tensor) -> tuple[Tensor, Tensor]:
        # log Z = log sum exp(s) and the mean product under the softmax, both [n]: as a pair, they
        # weigh in a larger softmax what the side's pairs together would
        if not len(side.first):
            nothing = side.values.new_zeros(side.values.shape[1])
            return nothing + MASKED_SCORE, nothing
        one, other = side.pairs_of(vectors)  # (P, n, K)
        products, scores = self.judged(one * other)
        products, scores = self.with_fields(products, scores, side.field_pair.unsqueeze(1))
        one, other = side.pairs_of(lowest(side))  # (P, n)
        scores = scores + one + other
        return torch.logsumexp(scores, 0), (torch.softmax(scores, 0) * products).sum(0)

    def start_from(self, fitted: Net, ids: Tensor, values: Tensor) -> None:
        """Take over a fitted FM, so that fitting continues from its logits (the paper's
        pre-training, section 4.1, with p scaled).

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
        stays flat: FM's embeddings are small and their products smaller. Products that FM has all
        but given up count as a share of a new net's, since nothing scales what has vanished.
        """
        with torch.no_grad():
            pairs = self.eval().pair_vectors(self.embedded(ids.T, values.T))  # (P, B, K)
            size = pairs[pairs.abs().sum(-1) > 0].square().mean().sqrt().nan_to_num(1.0)
            size = size.clamp_min(LEAST_SIZE * self.settings.init_std**2)
            self.attention.weight.normal_().div_(size * self.settings.embedding**0.5)
            self.attention.bias.zero_()

    def penalised(self) -> dict[str, list[Tensor]]:
        """See `Net`; of the attention network only W (eq. 7)."""
        return super().penalised() | {"l2_attention": [self.attention.weight]}

    @property
    def sizes(self) -> dict[str, int]:
        """See `Net`."""
        return super().sizes | {"attention": self.settings.attention}


def lowest(side: SlotTensors) -> Tensor:
    """What keeps an absent feature's pairs out of a softmax, added to their scores [S, n]. Where no
    pair is present nothing outweighs them; their products are 0, and so is their mean.
    """
    return (side.values == 0) * MASKED_SCORE


def masked_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax of `scores` [P, B] over the `present` pairs, exactly 0 for the others; all 0 where
    none is present.
    """
    lowest = torch.full_like(scores, MASKED_SCORE)
    top = torch.where(present, scores, lowest).amax(0, keepdim=True)
    # absent scores are kept from overflowing exp: inf * 0 would be NaN
    weights = torch.exp(torch.where(present, scores - top, lowest)) * present
    return weights / weights.sum(0, keepdim=True).clamp_min(1e-30)
