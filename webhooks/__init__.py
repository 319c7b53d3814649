"""The front room: the ASGI application with the addresses that Stripe and PacSpace call.

Owns HTTP, both vendors' signatures, and the step from an event to ids. What an event wakes stands in
``pacspace_stripe.wakeups``; no event decides anything. A receiver verifies before it stores, stores before it answers,
and does no other work in the request: Stripe waits, and an error would delay every invoice of the account (FACTS 2.1).
"""

DISTRIBUTION = "pacspace-stripe"
"""The distribution of this package: ``serve`` refuses another package named ``webhooks`` that Python finds first."""
