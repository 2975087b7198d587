"""Whether the service is well: it is ready, or waits for its first version to be published,
which is not its fault. Asked by docker compose; a balancer asks /readyz itself.
"""

import json
import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen("http://127.0.0.1:8000/readyz", timeout=4)
except urllib.error.HTTPError as error:
    said = json.load(error)
    sys.exit(said.get("code") != "no_model" or said.get("refused") is not None)
