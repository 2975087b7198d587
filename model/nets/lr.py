"""Logistic regression: logit = w0 + sum_i w_i x_i. The floor that every pair model must clear."""

from torch import Tensor
from typing_extensions import override

from model.nets.net import Net, SlotTensors


class LR(Net):
    """Only the first-order part."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:  # noqa: ARG002  no pair adds anything
        """No pairs: [0, B]."""
        return values.new_zeros(0, values.shape[1]), None

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:  # noqa: ARG002  no pair adds anything
        """0 [B]."""
        return values.new_zeros(values.shape[1])

    def ad_partials(self, ads: SlotTensors) -> Tensor:
        """Nothing [N, 0]."""
        return ads.values.new_zeros(ads.values.shape[1], 0)

    @override
    def rank_second_order(
        self, context: SlotTensors, ads: SlotTensors, ad_partials: Tensor, cross: Tensor
    ) -> Tensor:
        """0 [N]."""
        return ad_partials.sum(1)
