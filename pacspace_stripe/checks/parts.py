"""What a look at an invoice is made with, and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime

from pacspace_stripe.checks.acting import Rendering
from pacspace_stripe.checks.comparing import Comparer
from pacspace_stripe.checks.explaining import Explaining
from pacspace_stripe.checks.judging import Judge
from pacspace_stripe.checks.telling import Alerts
from pacspace_stripe.domain.memory import Memory
from pacspace_stripe.domain.policy import Policy
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi


@dataclass(frozen=True, slots=True)
class Looked:
    """Where one pass through the story ended."""

    memory: Memory
    status: str
    next_check_at: datetime | None
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the story is told with."""

    stripe: StripeApi
    comparer: Comparer
    judge: Judge
    rendering: Rendering
    store: Store
    alerts: Alerts
    policy: Policy
    explaining: Explaining
