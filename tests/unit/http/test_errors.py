"""Every error has its one answer, and every answer that is an error is a problem."""

import asyncio
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from httpx import Response

from model.errors import InputError
from service import errors
from service.http.problems import STATUS, InternalErrorMiddleware, add_handlers

RAISED = {
    "malformed": errors.MalformedBody("broken"),
    "input": InputError("wrong_type", "no number", row=3, field="price"),
    "context": InputError("wrong_type", "no number", field="hour"),
    "media": errors.MediaTypeError("not JSON"),
    "body": errors.BodyTooLarge("too large"),
    "rows": errors.TooManyRows("too many"),
    "none": errors.NoModel("publish one"),
    "late": errors.DeadlinePassed("over"),
    "bug": RuntimeError("with a value of the caller"),
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    made = FastAPI()
    add_handlers(made)
    made.add_middleware(InternalErrorMiddleware)

    @made.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise RAISED[name]

    return made


def get(app: FastAPI, path: str, method: str = "GET") -> Response:
    async def ask() -> Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("malformed", 400, "malformed_json"),
        ("input", 422, "wrong_type"),
        ("media", 415, "unsupported_media_type"),
        ("body", 413, "body_too_large"),
        ("rows", 413, "too_many_rows"),
        ("none", 503, "no_model"),
        ("late", 504, "deadline_passed"),
        ("bug", 500, "internal_error"),
    ],
)
def test_an_error_is_a_problem_with_its_status_and_code(
    app: FastAPI, name: str, status: int, code: str
) -> None:
    answer = get(app, f"/raise/{name}")
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert body["code"] == code
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail"} <= body.keys()


def test_row_and_field_are_members_where_they_apply(app: FastAPI) -> None:
    assert get(app, "/raise/input").json().items() >= {"row": 3, "field": "price"}.items()
    context = get(app, "/raise/context").json()
    assert context["field"] == "hour"
    assert "row" not in context
    assert not {"row", "field"} & get(app, "/raise/late").json().keys()


def test_an_unknown_path_and_a_wrong_method_are_problems_too(app: FastAPI) -> None:
    missing, wrong = get(app, "/nowhere"), get(app, "/raise/late", "POST")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_path")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"
    for answer in (missing, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


def test_unexpected_error_is_logged_without_its_text(app: FastAPI) -> None:
    with structlog.testing.capture_logs() as logged:
        answer = get(app, "/raise/bug")
    assert "value of the caller" not in answer.text
    assert "value of the caller" not in str(logged)
    assert logged[0]["kind"] == "RuntimeError"
    assert any("test_errors" in place for place in logged[0]["where"])


def test_a_caller_without_a_model_is_told_when_to_come_again(app: FastAPI) -> None:
    assert get(app, "/raise/none").headers["retry-after"] == "1"


def test_every_error_that_a_request_can_cause_has_its_status() -> None:
    def below(kind: type[Any]) -> set[type[Any]]:
        return {kind, *(deep for found in kind.__subclasses__() for deep in below(found))}

    assert STATUS.keys() == below(errors.HttpError) - {errors.HttpError} | {InputError}


def test_no_two_kinds_share_a_code() -> None:
    codes = [kind.code for kind in errors.HttpError.__subclasses__()]
    assert len(set(codes)) == len(codes)


def test_the_drawn_tree_names_every_error() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind.__module__ == errors.__name__ and name != "HttpError":
            assert f"─ {name} " in errors.__doc__, name


def test_a_redis_that_is_not_reached_ends_a_command_with_3() -> None:
    assert errors.StoreUnavailable.exit_code == 3
    assert errors.StoreError.exit_code == errors.SettingsError.exit_code == 2
