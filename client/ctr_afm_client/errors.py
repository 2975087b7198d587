"""What can go wrong with a call.

ClientError
├── InvalidCall         the call itself: it is not sent
├── Refused             the service will not answer this request: 400 to 422, its `code` says why
└── NoAnswer            there was none in time, and another time there may be one
    ├── DeadlinePassed      the call's `timeout_ms` is over
    ├── Unavailable         429, 502 or 503: overloaded, or nothing is live
    ├── ServerFailed        500, or an answer that is none of the service's
    └── ConnectionFailed    nobody there, or a connection that broke
"""

# ruff: noqa: N818 - a name says what is the case; the tree says that it is an error

LATE = "there was no answer by the deadline"


class ClientError(Exception):
    """Base of all. `status` and `code`: of the service's answer, where it gave one."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class InvalidCall(ClientError, ValueError):
    """The call cannot be sent: rows that are no list, a value that JSON has no form for, a deadline
    that is no number. `row` counts from 0, `field` is its name, where one is to blame.
    """

    def __init__(self, message: str, row: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.field = field


class Refused(ClientError):
    """The request cannot be answered, now or later. `row` counts from 0, `field` is the schema's
    name, where one is to blame.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message, status, code)
        self.row = row
        self.field = field


class NoAnswer(ClientError):
    """There was no answer in time: what a client with a `fallback` replaces."""


class DeadlinePassed(NoAnswer):
    """The deadline of the call is over, here or at the service (504)."""


class Unavailable(NoAnswer):
    """The service is overloaded or has no model. `wait`: seconds after which to ask again, where
    it says so.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str | None = None,
        wait: float | None = None,
    ) -> None:
        super().__init__(message, status, code)
        self.wait = wait


class ServerFailed(NoAnswer):
    """A fault of the service, or an answer that is not one of its own."""


class ConnectionFailed(NoAnswer):
    """The service cannot be reached, or the connection broke before its answer."""
