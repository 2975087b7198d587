"""The naive graph as a custom runtime of MLServer (V2 inference protocol)."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from naive import Naive


class NaiveModel(MLModel):
    """Takes the tensors ids and values."""

    async def load(self) -> bool:
        """Open the graph."""
        self._naive = Naive()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score."""
        given = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        found = NumpyCodec.encode_output(
            "probabilities", self._naive(given["ids"], given["values"])
        )
        return InferenceResponse(model_name=self.name, outputs=[found])
