"""Every scenario of the table ends as it says: see ``tests/data/scenarios/README.md``."""

from pathlib import Path

import pytest

from tests.support.scenarios import Scenario, all_scenarios, play

SCENARIOS = all_scenarios()


@pytest.mark.parametrize(
    "scenario", [row for _, row in SCENARIOS], ids=[f"{subject}: {row.name}" for subject, row in SCENARIOS]
)
def test_it_ends_as_the_table_says(scenario: Scenario, tmp_path: Path) -> None:
    play(scenario, tmp_path)
