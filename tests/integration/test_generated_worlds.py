"""Properties of the gate over generated worlds: each is drawn from a seed, played, and judged from the outside."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.trying import folder, tried

PER_TEST = 30
DEFAULT_WORLDS = 300
SOAK_WORLDS = int(os.environ.get("PACSPACE_STRIPE_SOAK_WORLDS", "4000"))


@pytest.fixture
def where() -> Iterator[Path]:
    made = folder()
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("first", range(0, DEFAULT_WORLDS, PER_TEST))
def test_every_property_holds(first: int, where: Path) -> None:
    _try(first, where)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(DEFAULT_WORLDS, DEFAULT_WORLDS + SOAK_WORLDS, PER_TEST))
def test_every_property_holds_in_thousands(first: int, where: Path) -> None:
    _try(first, where)


def _try(first: int, where: Path) -> None:
    for seed in range(first, first + PER_TEST):
        why = tried(seed, where)
        assert why is None, f"the world of seed {seed}:\n{why}"
