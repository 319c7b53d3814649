"""The depth of the stack between a check and a vendor: each frame is a call that a reader has to follow."""

import sys
from pathlib import Path

import httpx
import pytest

import pacspace_stripe
from tests.support.worlds import STRIPE_PORT, World

PACKAGE = Path(pacspace_stripe.__file__).parent
START = "check_invoice"


class DeepWorld(World):
    """A world that notes the deepest stack of our own frames per vendor and method."""

    def __post_init__(self) -> None:
        self.deepest: dict[tuple[str, str], int] = {}
        super().__post_init__()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        vendor = "stripe" if request.url.port == STRIPE_PORT else "pacspace"
        frames, frame = 0, sys._getframe()  # noqa: SLF001  # the stack itself is the subject
        while frame.f_back is not None:
            frame = frame.f_back
            path = Path(frame.f_code.co_filename)
            frames += path.is_relative_to(PACKAGE) and "simulator" not in path.parts
            if frame.f_code.co_name == START:
                key = (vendor, request.method)
                self.deepest[key] = max(self.deepest.get(key, 0), frames)
        return super()._answer(request)


@pytest.fixture
def deepest(tmp_path: Path) -> dict[tuple[str, str], int]:
    """Gate one matched invoice to its end, and return the deepest stack per vendor and method."""
    world = DeepWorld(tmp_path)
    world.subscribe()
    world.use("100")
    world.run()
    world.app.close()
    assert world.invoice()["status"] == "paid"
    return world.deepest


def test_a_write_to_stripe_is_near_its_check(deepest: dict[tuple[str, str], int]) -> None:
    assert deepest["stripe", "POST"] <= 12


def test_a_read_of_the_ledger_is_near_its_check(deepest: dict[tuple[str, str], int]) -> None:
    assert deepest["pacspace", "GET"] <= 15
