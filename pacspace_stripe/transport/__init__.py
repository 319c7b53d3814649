"""The one HTTP client of the process: timeouts, retries, rate limits, error mapping.

Owns how requests travel, Stripe's SDK included, and how foreign JSON is read exactly. Does not know what is
asked of either vendor: that is ``stripe_api`` and ``pacspace_api``.
"""

from pacspace_stripe.transport.calls import Answer, Call
from pacspace_stripe.transport.client import Transport
from pacspace_stripe.transport.fleet import Fleet
from pacspace_stripe.transport.retries import Timeouts
from pacspace_stripe.transport.turns import background

__all__ = ["Answer", "Call", "Fleet", "Timeouts", "Transport", "background"]
