"""Neural factorization machine (He & Chua, SIGIR 2017, arXiv 1708.05027).

    logit = w0 + sum_i w_i x_i + h . z_L,   z_l = ReLU(W_l z_{l-1} + b_l)     (eq. 7)
    z_0   = sum_{i<j} (v_i * v_j) x_i x_j                                     (eq. 3)

The layers mix what the pairs add, so the score is no sum over pairs: there is no pair to explain it
by, and only the linear terms can be shown one by one. Without layers and with h = 1 it is FM.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from model.nets.dropout import Dropout
from model.nets.net import EmbeddingNet, NetSizes, SlotTensors


class NFM(EmbeddingNet):
    """Layers of ReLU on the pooled pairs, with dropout on the pool and on each layer."""

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__(rows, fields, settings)
        widths = (settings.embedding, *settings.hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))  # W_l and b_l
        self.hidden_dropout = Dropout(0.0)
        self.h = nn.Parameter(torch.ones(widths[-1]))

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """h . z_L [B]."""
        return self.layers(self.pooled(self.embedded(ids, values)))

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The pool of the ad's own pairs, and the sum of its vectors [N, 2 K]."""
        vectors = self.embedded(ads.ids, ads.values)  # (A, N, K)
        return torch.cat([self.pooled(vectors), vectors.sum(0)], 1)

    @override
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """The pool of the two sides, as in FM; the layers are each ad's own."""
        of_context = self.embedded(context.ids, context.values)  # (C, 1, K)
        own, total = ad_partials.chunk(2, 1)  # (N, K)
        return self.layers(self.pooled(of_context) + own + of_context.sum(0) * total)

    def layers(self, pool: Tensor) -> Tensor:
        """h . z_L [B] of z_0 [B, K]."""
        z = self.dropout(pool)
        for layer in self.hidden:
            z = self.hidden_dropout(torch.relu(layer(z)))
        product: Tensor = z @ self.h
        return product

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[None, None]:  # noqa: ARG002  whatever the rows
        """None: see above."""
        return None, None

    def penalised(self) -> dict[str, list[Tensor]]:
        """See `Net`."""
        weights: list[Tensor] = [
            w for name, w in self.hidden.named_parameters() if name.endswith("weight")
        ]
        return super().penalised() | {"l2_hidden": weights}

    def dropouts(self) -> dict[str, Dropout]:
        """See `Net`."""
        return super().dropouts() | {"dropout_hidden": self.hidden_dropout}
