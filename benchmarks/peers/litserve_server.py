"""The naive graph as a LitServe server: python litserve_server.py PORT."""

import sys

import litserve
from naive import Naive


class NaiveApi(litserve.LitAPI):
    """Takes ids and values as lists."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - as LitServe calls it
        """Open the graph."""
        self._naive = Naive()

    def predict(self, request: dict) -> dict:
        """Score."""
        return {"probabilities": self._naive(request["ids"], request["values"]).tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(NaiveApi(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
