"""Every setting reaches the containers, and docker-compose.yml names no other."""

import re
from pathlib import Path

from service.setting_names import OF_CONTAINERS
from service.settings import Settings

COMPOSE = (Path(__file__).parents[3] / "docker-compose.yml").read_text(encoding="utf-8")
LEFT_OUT = {"AFM_HOST", "AFM_REDIS_URL"}  # where it listens in its container, a Redis of one's own


def test_settings_all_stand_in_the_compose_file() -> None:
    known = {f"AFM_{name.upper()}" for name in Settings.model_fields}
    assert known - set(re.findall(r"AFM_[A-Z_]+", COMPOSE)) <= LEFT_OUT


def test_compose_file_passes_on_no_variable_that_is_no_setting() -> None:
    known = {f"AFM_{name.upper()}" for name in Settings.model_fields} | set(OF_CONTAINERS)
    asked = set(re.findall(r"\$\{(AFM_[A-Z_]+)", COMPOSE))
    assert asked - known == set()
