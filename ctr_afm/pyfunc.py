"""A bundle as MLflow's pyfunc, by which `fit --mlflow` logs it: it needs no torch.

`mlflow.pyfunc.load_model(uri).predict(frame)` gives a probability for each row.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctr_afm.bundle import Bundle


class BundleModel:
    """What MLflow calls."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float32]:  # noqa: ARG002  MLflow's
        """A probability for each row of a frame, or of a list of rows, float32 [B].

        Raises:
            DataError, InputError: see `Bundle.predict`.
        """
        return self.bundle.predict(model_input)


def _load_pyfunc(path: str) -> BundleModel:
    # MLflow looks for this name
    return BundleModel(Bundle.open(path))
