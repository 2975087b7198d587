"""The same work asked over gRPC as over HTTP: a closed loop of calls on one channel."""

from itertools import count
from time import perf_counter, process_time
from typing import Any

import grpc
import numpy as np
from traffic.load import Load


def run_calls(method: Any, messages: list[bytes], seconds: float) -> Load:
    """Make calls with the `messages` in turn, one after the other, for about `seconds`.

    Raises:
        grpc.RpcError: one is not answered.
    """
    latencies: list[float] = []
    numbers = count()
    began, busy = perf_counter(), process_time()
    now = began
    while now - began < seconds:
        method(messages[next(numbers) % len(messages)])
        latencies.append(perf_counter() - now)
        now = perf_counter()
    took, busy = perf_counter() - began, process_time() - busy
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return Load(len(latencies) / took, float(p50), float(p99), max(latencies), busy / took)


def get_mutations(channel: grpc.Channel, service: str, method: str) -> Any:
    """The method of a channel, from bytes to bytes."""
    return channel.unary_unary(f"/{service}/{method}")
