"""Logistic regression: logit = w0 + sum_i w_i x_i. The floor that every pair model must clear."""

from torch import Tensor

from model.nets.net import Net, Side


class LR(Net):
    """The first-order part alone."""

    def pair_terms(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor | None]:  # noqa: ARG002  no pair adds anything
        """No pairs: [0, B]."""
        return values.new_zeros(0, values.shape[1]), None

    def second_order(self, ids: Tensor, values: Tensor) -> Tensor:  # noqa: ARG002  no pair adds anything
        """0 [B]."""
        return values.new_zeros(values.shape[1])

    def alone(self, ads: Side) -> Tensor:
        """Nothing [N, 0]."""
        return ads.values.new_zeros(ads.values.shape[1], 0)

    def second_order_of(self, context: Side, ads: Side, alone: Tensor, cross: Tensor) -> Tensor:  # noqa: ARG002  no pair adds anything
        """0 [N]."""
        return alone.sum(1)
