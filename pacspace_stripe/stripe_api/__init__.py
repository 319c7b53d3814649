"""The adapter to Stripe: the requests that we make, the pinned API version, and the reading of answers and events.

Answers become the values of ``vocabulary.invoices``; objects of Stripe's SDK stop here. Writes are only those of the
gate: update and finalize one invoice. How requests travel belongs to ``http``; what an event wakes, to ``wakeups``; no
decision is made here. FACTS.md lists, by number, what this package and its callers rely on at Stripe.
"""

from pacspace_stripe.stripe_api.api import StripeApi
from pacspace_stripe.stripe_api.calls import API_VERSION, OUR_KEY_PREFIX, STRIPE, key_livemode, stripe_failure
from pacspace_stripe.stripe_api.parsing import (
    invoice_from_stripe,
    line_item_from_stripe,
    meter_from_stripe,
    price_from_stripe,
    subscription_from_stripe,
    subscription_item_from_stripe,
)
from pacspace_stripe.stripe_api.preview import PreviewStripe

__all__ = [
    "API_VERSION",
    "OUR_KEY_PREFIX",
    "STRIPE",
    "PreviewStripe",
    "StripeApi",
    "invoice_from_stripe",
    "key_livemode",
    "line_item_from_stripe",
    "meter_from_stripe",
    "price_from_stripe",
    "stripe_failure",
    "subscription_from_stripe",
    "subscription_item_from_stripe",
]
