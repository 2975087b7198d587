"""httpx: a client keeps its connections; httpx.post() would open one each time."""

import json
import sys
from pathlib import Path

import httpx

url, body = sys.argv[1] + "/predict", json.loads(Path(sys.argv[2]).read_text())
limits = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=60)
with httpx.Client(timeout=5.0, limits=limits) as client:
    for _ in range(100):
        print(client.post(url, json=body).status_code)
