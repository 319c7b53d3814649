"""How many requests a second a vendor gets from us."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests per second: to one endpoint (method and path pattern), and to the vendor in all."""

    endpoint: int
    total: int

    def __post_init__(self) -> None:
        if self.endpoint < 1 or self.total < 1:
            message = "a rate allows at least one request per second"
            raise ValueError(message)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.total}"


STRIPE_LIVE = Rate(endpoint=25, total=100)
STRIPE_TEST = Rate(endpoint=25, total=25)
"""Stripe's limits by kind of key (stripe-facts 6)."""
