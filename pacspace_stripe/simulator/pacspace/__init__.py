"""A local stand-in for PacSpace, for tests, demos and offline work.

It has both of PacSpace's APIs, its webhooks, and the dashboard's pages for getting started. Its proof roots are its
own: each is labelled ``"simulator": true`` and matches nothing outside.
"""

from pacspace_stripe.simulator.pacspace.behaviour import Rules
from pacspace_stripe.simulator.pacspace.simulator import PacSpaceSimulator
from pacspace_stripe.simulator.pacspace.troubles import LedgerFault

__all__ = ["LedgerFault", "PacSpaceSimulator", "Rules"]
