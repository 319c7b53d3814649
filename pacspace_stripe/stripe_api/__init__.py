"""What we ask of Stripe, and nothing else; SDK objects stop here.

Owns the requests, the pinned API version and the reading of Stripe's answers into ``domain.invoices``. Does not own
how requests travel (``transport``), webhooks, or any decision.
"""

from pacspace_stripe.stripe_api.api import StripeApi
from pacspace_stripe.stripe_api.calls import API_VERSION, OUR_KEY_PREFIX, key_livemode
from pacspace_stripe.stripe_api.failures import stripe_failure
from pacspace_stripe.stripe_api.parsing import (
    invoice_from_stripe,
    line_item_from_stripe,
    subscription_from_stripe,
    subscription_item_from_stripe,
)
from pacspace_stripe.stripe_api.prices import meter_from_stripe, price_from_stripe
from pacspace_stripe.stripe_api.recording import RecordingStripe

__all__ = [
    "API_VERSION",
    "OUR_KEY_PREFIX",
    "RecordingStripe",
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
