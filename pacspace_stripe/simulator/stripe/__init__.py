"""A stateful stand-in for Stripe: meters, subscriptions that renew, drafts on a finalization clock, signed webhooks.

It has test mode only, and only the parts that usage billing needs. Facts and their sources are in
``pacspace_stripe/stripe_api/FACTS.md``; where those are silent, :class:`Behaviour` has a switch.
"""

from pacspace_stripe.simulator.stripe.account import Behaviour
from pacspace_stripe.simulator.stripe.simulator import API_VERSION, StripeSimulator
from pacspace_stripe.simulator.stripe.webhooks import WebhookEndpoint
from pacspace_stripe.simulator.stripe.world import Charge, Mail, StoredInvoiceStatus, StoredTier

__all__ = [
    "API_VERSION",
    "Behaviour",
    "Charge",
    "Mail",
    "StoredInvoiceStatus",
    "StoredTier",
    "StripeSimulator",
    "WebhookEndpoint",
]
