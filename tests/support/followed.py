"""What is seen of a follower: its metrics, and the bundles that it takes."""

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

POLL_SECONDS = 0.02


def metric(telemetry: Any, name: Any, **labels: Any) -> Any:
    for family in text_string_to_metric_families(telemetry.scrape().decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def stored(tmp_path: Path, version: Any) -> Any:
    return tmp_path / "bundles" / "ads" / version
