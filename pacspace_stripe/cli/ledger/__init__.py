"""``pacspace-stripe ledger``: what PacSpace's own pages do by hand, as commands. Nothing of ours is written."""

from pacspace_stripe.cli.ledger import balance, settlement
from pacspace_stripe.cli.ledger.group import ledger

__all__ = ["balance", "ledger", "settlement"]
