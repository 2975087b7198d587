"""requests, with a session: one connection."""

import sys
from pathlib import Path

import requests

url, body = sys.argv[1] + "/predict", Path(sys.argv[2]).read_bytes()
with requests.Session() as session:
    for _ in range(100):
        answer = session.post(url, data=body, headers={"content-type": "application/json"})
        print(answer.status_code)
