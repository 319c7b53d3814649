"""The endpoint that Stripe calls: HTTP only. What to do with an event is decided elsewhere."""
