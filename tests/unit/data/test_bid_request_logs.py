"""Logs of OpenRTB bid requests: their columns, and the schema that is drafted for them."""

import json
import random
from pathlib import Path

import pytest

from bid_requests import candidate_row, context_row, log_line
from model.errors import DataError
from model.schema import Schema
from training.data.read_log import read_log
from training.draft.draft_schema import draft_schema


def test_draft_has_a_path_for_each_field_and_the_role_of_its_part(tmp_path: Path) -> None:
    draw, path = random.Random(1), tmp_path / "bids.jsonl"
    lines = [log_line(draw, number) for number in range(600)]
    path.write_text("\n".join(map(json.dumps, lines)))
    schema = Schema.parse(draft_schema(path, "click", time="ts"))
    found = {name: (field.kind, field.role, field.source) for name, field in schema.fields.items()}
    assert found["device_devicetype"] == ("categorical", "context", "device.devicetype")
    assert found["user_data_segment_id"] == ("multivalue", "context", "user.data.segment.id")
    assert found["banner_w"] == ("categorical", "candidate", "banner.w")
    assert found["bidfloor"][1:] == ("candidate", None)
    assert schema.fields["user_id"].private
    assert not schema.fields["site_domain"].private
    columns = read_log(path, schema).columns
    for number, line in enumerate(lines):
        asked = line["bid_request"]
        row = {**context_row(asked, number), **candidate_row(asked["imp"][0])}
        for name in ("device.devicetype", "site.domain", "banner.w"):
            value = row[name]
            assert columns[name][number] == (None if value is None else str(value))


def test_value_is_the_candidate_s_else_the_line_s_else_the_bid_request_s(tmp_path: Path) -> None:
    path = tmp_path / "bids.jsonl"
    line = {
        "click": 1,
        "site": {"b": "line"},
        "bid_request": {"site": {"a": "asked", "b": "asked", "c": "asked"}, "imp": []},
        "candidate": {"site": {"c": "ad"}},
    }
    path.write_text(f"{json.dumps(line)}\n{json.dumps({**line, 'click': 0})}\n")
    fields = "".join(
        f'[fields.{name}]\nkind = "categorical"\nsource = "site.{name}"\n' for name in "abc"
    )
    found = read_log(path, Schema.parse(f'label = "click"\n{fields}')).columns
    assert [column[0] for column in found.values()] == ["asked", "line", "ad"]


@pytest.mark.parametrize("imps", [[], [{"tagid": "a"}, {"tagid": "b"}], "top"], ids=str)
def test_bid_request_needs_a_candidate_or_one_imp(tmp_path: Path, imps: object) -> None:
    path = tmp_path / "bids.jsonl"
    path.write_text(json.dumps({"click": 1, "bid_request": {"imp": imps}}))
    with pytest.raises(DataError, match="row 1: no candidate, and the bid request has not one imp"):
        draft_schema(path, "click")
