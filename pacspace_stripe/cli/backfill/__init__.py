"""``pacspace-stripe backfill``: the one-off command for invoices of the past."""

from pacspace_stripe.cli.backfill.command import backfill

__all__ = ["backfill"]
