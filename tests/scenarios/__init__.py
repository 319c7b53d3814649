"""The table of scenarios in ``tests/data/scenarios``: reading a row, playing it, judging its end."""

from tests.scenarios.playing import play
from tests.scenarios.reading import Scenario, all_scenarios

__all__ = ["Scenario", "all_scenarios", "play"]
