"""Field-aware factorization machine (Juan et al., RecSys 2016, eq. 4).

    logit = w0 + sum_i w_i x_i + sum_{i<j} <v_{i,f(j)}, v_{j,f(i)}> x_i x_j

A value has one vector for each of the M fields that it may meet. They lie side by side in one row
of the table, so that a value costs one read of M K contiguous floats. What it costs: the table is M
times FM's at the same K, and a batch holds F M B K floats before and 2 P B K after the pairs are
picked. Hence a K of its own, `ffm_embedding`, of about FM's divided by M.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from model.nets.net import NetSizes, PairNet, SlotTensors, close_sum


class FFM(PairNet):
    """Each value has a vector of its own for each field."""

    first_for_second: Tensor
    second_for_first: Tensor

    def __init__(self, rows: int, fields: Sequence[int], settings: NetSizes) -> None:
        super().__init__(rows, fields, settings)
        field = torch.tensor(list(fields))  # (F)
        picked = {
            "first_for_second": self.first * self.fields + field[self.second],  # (P)
            "second_for_first": self.second * self.fields + field[self.first],  # (P)
        }
        for name, places in picked.items():
            self.register_buffer(name, places, persistent=False)

    @property
    def width(self) -> int:
        """Columns of the table: M K."""
        return self.fields * self.settings.ffm_embedding

    @property
    def sizes(self) -> dict[str, int]:
        """See `Net`."""
        return {"embedding": self.settings.ffm_embedding, "attention": 0}

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """<v_{i,f(j)}, v_{j,f(i)}> x_i x_j [P, B]; no attention."""
        return close_sum(self.products(ids, values), 2), None

    @override
    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:
        """sum_{i<j} <v_{i,f(j)}, v_{j,f(i)}> x_i x_j [B]."""
        return close_sum(self.products(ids, values), 0, 2)

    def products(self, ids: Tensor, values: Tensor) -> Tensor:
        """v_{i,f(j)} * v_{j,f(i)} x_i x_j [P, B, K], dropout included."""
        vectors = self.vectors(ids, values)
        of_first = vectors.index_select(0, self.first_for_second)  # (P, B, K)
        of_second = vectors.index_select(0, self.second_for_first)  # (P, B, K)
        dropped: Tensor = self.dropout(of_first * of_second)
        return dropped

    def vectors(self, ids: Tensor, values: Tensor) -> Tensor:
        """v_{i,f} x_i [F M, B, K] of slot-major ids and values [F, B]."""
        rows = self.embedded(ids, values)  # (F, B, M K)
        rows = rows.view(*rows.shape[:2], self.fields, self.settings.ffm_embedding)
        return rows.transpose(1, 2).flatten(0, 1)

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """The ad's own pairs [N, 1]."""
        return self._within(ads, self.vectors(ads.ids, ads.values)).unsqueeze(1)

    @override
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """A context's vectors are picked once for all ads."""
        of_context, of_ads = (self.vectors(side.ids, side.values) for side in (context, ads))
        c, a = len(context.fields), len(ads.fields)
        for_ad = (torch.arange(c)[:, None] * self.fields + ads.fields).flatten()  # (C A)
        for_context = (torch.arange(a) * self.fields + context.fields[:, None]).flatten()  # (C A)
        met = of_context.index_select(0, for_ad) * of_ads.index_select(
            0, for_context
        )  # (C A, N, K)
        return self._within(context, of_context) + ad_partials[:, 0] + close_sum(met, 0, 2)  # (N)

    def _within(self, side: SlotTensors, vectors: Tensor) -> Tensor:
        one, other = side.fields[side.first], side.fields[side.second]  # (P)
        of_first = vectors.index_select(0, side.first * self.fields + other)  # (P, n, K)
        of_second = vectors.index_select(0, side.second * self.fields + one)  # (P, n, K)
        return close_sum(of_first * of_second, 0, 2)  # (n)
