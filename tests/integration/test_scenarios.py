"""Every scenario of the tables ends as they say: see ``tests/data/scenarios/README.md``."""

from pathlib import Path

import pytest

from tests.support.scenarios import Scenario, all_scenarios, play

SCENARIOS = all_scenarios()


@pytest.mark.parametrize(
    "scenario", [row for _, row in SCENARIOS], ids=[f"{subject}: {row.name}" for subject, row in SCENARIOS]
)
def test_a_scenario_ends_as_its_table_says(scenario: Scenario, tmp_path: Path) -> None:
    play(scenario, tmp_path)
