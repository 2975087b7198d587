"""Whatever is asked, the answer is a score or says what is wrong."""

import json
from typing import Any

import httpx
import hypothesis
from hypothesis import strategies as st

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["ios", "a1", 2**63, -(2**63), 10**320, -0.0, 1e-320, "\x00", "NaN"])
)

values = scalars | st.lists(scalars, max_size=8) | st.dictionaries(st.text(), scalars, max_size=2)

rows = st.dictionaries(
    st.sampled_from(["device", "hour", "interests", "ad", "price"]) | st.text(), values, max_size=6
)

requests = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.lists(rows, max_size=4) | values,
        "context": rows | values,
        "candidates": st.lists(rows, max_size=4) | values,
        "timeout_ms": scalars,
        "top": scalars,
        "other": values,
    },
) | st.builds(lambda context, many: {"context": context, "candidates": many}, rows, st.lists(rows))


def json_has(body: Any) -> Any:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        return False
    return True


@hypothesis.settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(requests)
def test_whatever_is_asked_the_answer_is_a_score_or_says_what_is_wrong(
    client: httpx.Client, body: Any
) -> None:
    content = json.dumps(body).encode()  # NaN and Infinity too, which JSON does not have
    for path, key in (("/predict", "probabilities"), ("/explain", "explanations")):
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 413, 422, 504) or not json_has(body), answer.text
        if answer.status_code == 200:
            assert len(answer.json()[key]) == len(body.get("instances") or body["candidates"])
        else:
            assert {"status", "code", "detail"} <= answer.json().keys()
