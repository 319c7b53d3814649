"""The endpoint that Stripe calls: HTTP only. What to do with an event is decided elsewhere."""

DISTRIBUTION = "pacspace-stripe"
"""Whose package this is: ``serve`` refuses a ``webhooks`` of somebody else that happens to be found first."""
