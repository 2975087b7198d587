"""The time of a request's stages: noted where somebody asks, and apart for each request."""

import asyncio
from time import perf_counter

from service.observe.metrics import STAGES, Telemetry
from service.observe.timeline import at_hand, noting, timed


class Seen:
    def __init__(self) -> None:
        self.amounts: list[float] = []

    def observe(self, amount: float) -> None:
        self.amounts.append(amount)


def test_what_is_observed_is_counted_and_noted_in_the_request_at_hand() -> None:
    seen = Seen()
    stages = noting({"score": seen})
    stages["score"].observe(1.0)  # nobody asks
    with timed(0.0) as timeline:
        stages["score"].observe(0.25)
        stages["score"].observe(0.25)
        with timed(5.0) as inner:
            assert inner is timeline
    assert at_hand() is None
    assert timeline.stages == {"score": 0.5}
    assert seen.amounts == [1.0, 0.25, 0.25]


def test_requests_of_other_tasks_have_their_own() -> None:
    stages = noting({"score": Seen()})

    async def request(amount: float) -> dict[str, float]:
        with timed(0.0) as timeline:
            await asyncio.sleep(0)
            stages["score"].observe(amount)
            await asyncio.sleep(0)
            return timeline.stages

    async def both() -> list[dict[str, float]]:
        return list(await asyncio.gather(request(1.0), request(2.0)))

    assert asyncio.run(both()) == [{"score": 1.0}, {"score": 2.0}]


def test_milliseconds_end_with_the_whole_time() -> None:
    with timed(perf_counter()) as timeline:
        timeline.stages["decode"] = 0.0015
        found = timeline.milliseconds()
    assert list(found) == ["decode", "total"]
    assert found["decode"] == 1.5


def test_a_telemetry_that_notes_counts_in_the_same_metrics_and_once() -> None:
    telemetry = Telemetry()
    twice = telemetry.noting().noting()
    for stage in STAGES:
        twice.stages[stage].observe(1.0)
    text = telemetry.scrape().decode()
    assert 'afm_stage_duration_seconds_count{stage="score"} 1.0' in text
    assert type(telemetry.stages["score"]) is not type(twice.stages["score"])
