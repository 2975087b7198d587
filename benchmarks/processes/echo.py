"""The least a server can do: a plain ASGI app that sends a request's body back, served as the
service is.

    python benchmarks/echo.py PORT
"""

import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from service.http.wire.protocol import OneWriteProtocol


async def app(_: Scope, receive: Receive, send: Send) -> None:
    """Echo."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http=OneWriteProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
