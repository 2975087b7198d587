"""The naive graph as a BentoML service."""

import bentoml
import numpy as np
from naive import Naive


@bentoml.service(workers=1)
class NaiveService:
    """Takes ids and values as arrays."""

    def __init__(self) -> None:
        self._naive = Naive()

    @bentoml.api
    def predict(self, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Score."""
        return self._naive(ids, values)
