"""A local stand-in for PacSpace, for tests, demos and offline work.

Both its APIs, its webhooks, and the dashboard's pages for getting started. It owns its state and its clock's moments,
never PacSpace's: roots it answers with are labelled ``"simulator": true`` and match nothing outside.
"""

from pacspace_stripe.simulator.pacspace.behaviour import Rules
from pacspace_stripe.simulator.pacspace.simulator import PacSpaceSimulator
from pacspace_stripe.simulator.pacspace.troubles import LedgerFault

__all__ = ["LedgerFault", "PacSpaceSimulator", "Rules"]
