"""No metered invoice leaves Stripe unless the neutral ledger agrees with it."""

__version__ = "0.1.0"
