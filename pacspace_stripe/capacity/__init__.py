"""Capacity: a forecast of whether the gate keeps up with a number of renewals under Stripe's rate limits."""
