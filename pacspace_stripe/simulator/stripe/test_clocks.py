"""Test clocks: objects of their customers live by a time that moves only on request (FACTS 12.12)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pacspace_stripe.simulator.stripe.agenda import Agenda
from pacspace_stripe.simulator.stripe.world import unix

KEPT_FOR = timedelta(days=30)


@dataclass(slots=True, kw_only=True)
class StoredTestClock:
    """One test clock, with the acts that Stripe will do by it. An advance is done at once, so it is always ready."""

    __test__ = False  # no test, whatever pytest makes of the name

    id: str
    created: datetime
    frozen_at: datetime
    name: str | None = None
    agenda: Agenda = field(default_factory=Agenda)

    def json(self) -> dict[str, Any]:
        """Return the test clock as the API shows it."""
        return {
            "id": self.id,
            "object": "test_helpers.test_clock",
            "created": unix(self.created),
            "deletes_after": unix(self.created + KEPT_FOR),
            "frozen_time": unix(self.frozen_at),
            "livemode": False,
            "name": self.name,
            "status": "ready",
            "status_details": {},
        }
