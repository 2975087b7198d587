"""Errors as HTTP answers: one table from error to status, and RFC 9457 problems as bodies."""

import asyncio
import json
from functools import lru_cache
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import AfmError, InputError
from service.errors import (
    BodyTooLarge,
    CallerLeft,
    CompressedBody,
    DeadlinePassed,
    Forbidden,
    MalformedBody,
    MediaTypeError,
    NoModel,
    Overloaded,
    TooManyRows,
    Unauthenticated,
    Unavailable,
    UnknownModel,
)
from service.observe.logs import last_frames

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[AfmError], int] = {
    MalformedBody: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    UnknownModel: 404,
    BodyTooLarge: 413,
    TooManyRows: 413,
    MediaTypeError: 415,
    CompressedBody: 415,
    InputError: 422,
    Overloaded: 429,
    Unavailable: 503,
    NoModel: 503,
    DeadlinePassed: 504,
}

# The codes of what the framework itself refuses.
CODES = {400: "bad_request", 404: "unknown_path", 405: "method_not_allowed", 422: "invalid_request"}

log = structlog.get_logger()


def problem(
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: object,
) -> Response:
    """A problem+json answer; `members` that are None are left out."""
    body = {
        "type": "about:blank",  # RFC 9457: the title says no more than the status; `code` does
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **{key: value for key, value in members.items() if value is not None},
    }
    # ASCII: a field's name may hold what UTF-8 cannot
    return Response(json.dumps(body).encode(), status, headers, MEDIA_TYPE)


def _of_the_table(error: Any) -> Response:
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    if isinstance(error, InputError):
        return problem(STATUS[kind], error.code, str(error), row=error.row, field=error.field)
    headers = {"retry-after": "1"} if isinstance(error, NoModel) else None
    if isinstance(error, Overloaded):
        headers = retry_headers(milliseconds(error))
    if isinstance(error, CompressedBody):
        headers = {"accept-encoding": "identity"}  # RFC 9110, 15.5.16
    if isinstance(error, Unauthenticated | Forbidden):
        headers = {"www-authenticate": error.challenge}
    return problem(STATUS[kind], error.code, str(error), headers)


def milliseconds(error: Overloaded) -> int:
    """Seconds until the work is done that a request was refused for."""
    return max(1, round(1000 * error.wait))


def retry_headers(wait_ms: int) -> dict[str, str]:
    """The headers that say when to ask again; `Retry-After` cannot say less than a second."""
    headers = {"retry-after-ms": str(wait_ms)}
    if wait_ms >= 1000:
        headers["retry-after"] = str(ceil(wait_ms / 1000))
    return headers


@lru_cache(maxsize=1024)
def overloaded_as_sent(kind: type[Overloaded], wait_ms: int) -> tuple[bytes, bytes]:
    """A refusal as HTTP/1.1 sends it: its first line, and the rest."""
    answer = _of_the_table(kind(wait_ms / 1000))
    headers = [b"%s: %s\r\n" % header for header in answer.raw_headers]
    line = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n"
    return line.encode(), b"".join((*headers, b"\r\n", bytes(answer.body)))


async def _known(_: Request, error: Any) -> Response:
    return _of_the_table(error)


async def _framework(request: Request, error: Any) -> Response:
    code = CODES.get(error.status_code, "error")
    detail = {
        404: "there is nothing at this path; /docs lists what there is",
        405: f"{request.method} is not possible here",
    }.get(error.status_code, str(error.detail))
    return problem(error.status_code, code, detail, dict(error.headers or {}))


async def _invalid(_: Request, __: Any) -> Response:
    return problem(422, CODES[422], "a parameter of the request is not valid")


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the table, and of the framework, as a problem."""
    for kind in STATUS:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _invalid)


class ProblemMiddleware:
    """ASGI middleware: the errors of the table as problems, for an app of which FastAPI's handlers
    know nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        except tuple(STATUS) as error:
            await _of_the_table(error)(scope, receive, send)


class InternalErrorMiddleware:
    """ASGI middleware: what no handler knows becomes a 500, logged without its text, which may hold
    a caller's values; a request that is cancelled, a 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except (CallerLeft, ClientDisconnect):
            return  # no client reads an answer
        except asyncio.CancelledError:  # uvicorn's, to what is still there when a stop takes long
            answer = problem(503, "stopping", "the service stopped before this was answered")
        except Exception as error:
            log.error("unexpected error", kind=type(error).__name__, where=last_frames(error))
            answer = problem(500, "internal_error", "an error inside the service")
        else:
            return
        if not started and scope["type"] == "http":
            await answer(scope, receive, send)
