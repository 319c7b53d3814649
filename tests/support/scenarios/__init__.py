"""Scenarios of ``tests/data/scenarios``: a row is read, played, and its end is judged."""

from tests.support.scenarios.player import play
from tests.support.scenarios.tables import Scenario, all_scenarios

__all__ = ["Scenario", "all_scenarios", "play"]
