"""``pacspace-stripe onboard``: from no account to a key in an environment file. No secret is ever an argument."""

from pacspace_stripe.cli.onboard.command import onboard

__all__ = ["onboard"]
