"""The service's branch of the error tree. The text of each is one clear line.

AfmError (model/errors.py)
├── SettingsError       a setting that makes no sense: names variable and value
├── StoreError          Redis answers, but cannot be used like this
├── StoreUnavailable    Redis does not answer: names its URL, without a password
├── VersionError        no such version, or none to go back to
├── GateError           a bundle that is worse than the active one, or badly calibrated
├── RefusedByWorkers    active, but not served: says which workers refuse it, and why
├── ShadowError         a version that scores recent requests too unlike the live one
├── InputError          (model/errors.py) a request that cannot be scored
├── MalformedBody       not JSON
├── MediaTypeError      not said to be JSON
├── CompressedBody      not sent as it is
├── BodyTooLarge        more bytes than the limit
├── TooManyRows         more rows than the limit
├── Unauthenticated     no API key, or one that is not known
├── Forbidden           an API key without the right that the path needs
├── Overloaded          more work is waiting than can be done in time
│   └── Unavailable     the same, for balancers that ask another server at a 503
├── CallerLeft          the caller closed the connection
├── NoModel             no version is live
├── UnknownModel        another model or version than the live one was named
└── DeadlinePassed      the request's deadline is over

`service/http/problems.py` says which HTTP status each has.
"""

# ruff: noqa: N818 - a name says what is the case, as in httpx; the tree says that it is an error

from model.errors import AfmError


class SettingsError(AfmError):
    """A setting that cannot be used."""


class StoreError(AfmError):
    """A Redis that answers and cannot be used: it evicts or refuses, or another publish came."""


class StoreUnavailable(AfmError):
    """A Redis that cannot be reached in time."""

    exit_code = 3


class VersionError(AfmError):
    """A version that is not there, or cannot be read."""


class GateError(AfmError):
    """A bundle that the gate refuses; the text says what the gate saw."""


class RefusedByWorkers(AfmError):
    """A version that was made active, and that workers refuse to serve."""

    exit_code = 4


class ShadowError(AfmError):
    """A version that scores recent requests too unlike the live one; `code` says in a word how."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class HttpError(AfmError):
    """An error that only a request can cause; `code` is stable and meant for programs."""

    code: str


class MalformedBody(HttpError):
    """A body that is not JSON."""

    code = "malformed_json"


class MediaTypeError(HttpError):
    """A body that does not say it is JSON."""

    code = "unsupported_media_type"


class CompressedBody(HttpError):
    """A compressed body: a few bytes could become gigabytes."""

    code = "unsupported_content_encoding"


class BodyTooLarge(HttpError):
    """A body of more bytes than `max_body_bytes`."""

    code = "body_too_large"


class TooManyRows(HttpError):
    """A request of more rows than the limit."""

    code = "too_many_rows"


class Unauthenticated(HttpError):
    """No API key was `given`, or one that is not known."""

    code = "unauthenticated"

    def __init__(self, *, given: bool) -> None:
        super().__init__(
            "the API key is not known"
            if given
            else "an API key is needed: authorization: Bearer KEY, or x-api-key: KEY"
        )
        self.challenge = 'Bearer error="invalid_token"' if given else "Bearer"


class Forbidden(HttpError):
    """An API key that lacks `right`."""

    code = "forbidden"

    def __init__(self, right: str) -> None:
        super().__init__(f"the API key has no right to {right}")
        self.challenge = f'Bearer error="insufficient_scope", scope="{right}"'


class Overloaded(HttpError):
    """A request that would wait longer than `max_wait_ms`, or is of too many rows beside those in
    flight. `wait`: seconds that those in flight take, as far as can be said.
    """

    code = "overloaded"

    def __init__(self, wait: float) -> None:
        super().__init__("more rows are in flight than can be scored in time; ask again later")
        self.wait = wait


class Unavailable(Overloaded):
    """The same as Overloaded, where `overload_status` is 503."""


class CallerLeft(AfmError):
    """A request whose caller closed the connection: it has no status, since no client reads it."""


class NoModel(HttpError):
    """No version is live."""

    code = "no_model"


class UnknownModel(HttpError):
    """A path that names another model, or another version, than the live one."""

    code = "unknown_model"


class DeadlinePassed(HttpError):
    """The request's `timeout_ms`, or the settings', is over."""

    code = "deadline_passed"
