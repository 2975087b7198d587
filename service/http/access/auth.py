"""The right that each path needs, checked by the caller's API key."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Forbidden, Unauthenticated
from service.http.access.api_keys import ApiKey, ApiKeys
from service.http.pages import docs, explain_page

# the pages and the API's document hold no secret, and a browser has no way to send a key for them
DOCS = ("/docs", *(f"/docs/files/{name}" for name in docs.FILES), "/openapi.json")
OPEN = frozenset(
    (
        "/healthz",
        "/readyz",
        "/v2/health/live",
        "/v2/health/ready",
        *DOCS,
        *explain_page.PAGES,
        *explain_page.FILES,
        "/model.html",
    )
)
NEEDED = {
    "/predict": "predict",
    **dict.fromkeys(("/explain", "/explain/previous", "/whatif"), "explain"),
}
INFERENCE = "/v2"
OTHER_PATHS_RIGHT = "admin"  # a new path is closed until it is given another right
UNAUTHENTICATED_HEALTH = (
    "afm.stranger"  # in a scope: a caller who may not know what the service is made of
)
RIGHTS = "afm.rights"  # in a scope: those of the key, as one path may need a further one


def needed(path: str) -> str:
    """The right that a path needs which is not open."""
    if path == INFERENCE or path.startswith(INFERENCE + "/"):
        return "predict"
    return NEEDED.get(path, OTHER_PATHS_RIGHT)


class Authorization:
    """ASGI middleware: lets requests pass whose key has the right.

    Raises:
        Unauthenticated: no key, or one that is not known.
        Forbidden: a key without the right.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        given = _given(scope)
        key: ApiKey | None = None if given is None else self._keys.find(given)
        if path in OPEN:
            scope[UNAUTHENTICATED_HEALTH] = key is None or OTHER_PATHS_RIGHT not in key.rights
            return
        if key is None:
            raise Unauthenticated(given=given is not None)
        right = needed(path)
        if right not in key.rights:
            raise Forbidden(right)
        scope[RIGHTS] = key.rights


def _given(scope: Scope) -> bytes | None:
    # of several, the first: a proxy that adds its own puts it behind
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value.strip())
        if name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                return bytes(key.strip())
    return None
