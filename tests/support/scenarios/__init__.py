"""The table of scenarios in ``tests/data/scenarios``: reading a row, playing it, judging its end."""

from tests.support.scenarios.player import play
from tests.support.scenarios.tables import Scenario, all_scenarios

__all__ = ["Scenario", "all_scenarios", "play"]
