"""Errors as the protocol's clients read them: JSON with a key `error`."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import MEDIA_TYPE

PREFIX = "/v2/"
_PROBLEM = MEDIA_TYPE.encode()


class ErrorBodies:
    """ASGI middleware: below /v2 the problems of an app get a key `error`, their detail."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def watched(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if (b"content-type", _PROBLEM) in message["headers"]:
                    start = message
                    return
            elif start is not None:  # a problem is sent in one part
                found = json.loads(message["body"])
                body = json.dumps({"error": found["detail"], **found}).encode()
                kept = [one for one in start["headers"] if not one[0].startswith(b"content-")]
                length = (b"content-length", b"%d" % len(body))
                headers = [*kept, (b"content-type", b"application/json"), length]
                await send({**start, "headers": headers})
                message = {**message, "body": body}
            await send(message)

        await self._app(scope, receive, watched)
