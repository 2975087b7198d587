"""health.py [PATH]: whether the service here is well: it is ready, or waits for its first version
to be published, which is not its fault. Asked by docker compose; a balancer asks /readyz itself.
health.py PATH HOST SECONDS: asks HOST for so long until it answers by a version.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

path, host, seconds = (*sys.argv[1:], *("/readyz", "127.0.0.1", "0")[len(sys.argv) - 1 :])
unverified = ssl.create_default_context()  # the certificate is for the name that callers use
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE
url = f"{'https' if os.environ.get('AFM_TLS_CERT') else 'http'}://{host}:8000{path}"
deadline = time.monotonic() + float(seconds)
while True:
    try:
        urllib.request.urlopen(url, timeout=4, context=unverified)  # noqa: S310  http, or https
        sys.exit(0)
    except urllib.error.HTTPError as error:
        said = json.load(error)
        well = said.get("code") == "no_model" and said.get("refused") is None
    except OSError:
        well = False
    if time.monotonic() >= deadline:
        sys.exit(not well)
    time.sleep(0.25)
