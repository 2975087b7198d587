"""Asks a ctr-afm service for click probabilities, within a deadline: over HTTP, over a unix socket,
or in this process, by the same calls.

    with Client("http://127.0.0.1:8000", timeout_ms=50, fallback=0.01) as client:
        client.predict([{"ad": "a1"}, {"ad": "a2"}], context={"device": "ios"}).probabilities
"""

from ctr_afm_client.answers import (
    Explanation,
    Explanations,
    LinearTerm,
    PairTerm,
    Prediction,
    Rest,
    RowError,
)
from ctr_afm_client.async_client import AsyncClient
from ctr_afm_client.client import Client
from ctr_afm_client.errors import (
    ClientError,
    ConnectionFailed,
    DeadlinePassed,
    InvalidCall,
    Refused,
    ServerFailed,
    Unavailable,
)

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DeadlinePassed",
    "Explanation",
    "Explanations",
    "InvalidCall",
    "LinearTerm",
    "PairTerm",
    "Prediction",
    "Refused",
    "Rest",
    "RowError",
    "ServerFailed",
    "Unavailable",
]
