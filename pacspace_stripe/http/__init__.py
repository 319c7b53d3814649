"""The one HTTP client of the process: timeouts, retries, rate limits, error mapping.

Owns how requests travel, Stripe's SDK included, and how foreign JSON is read exactly. Does not know what is
asked of either vendor: that is ``stripe_api`` and ``pacspace_api``.
"""
