"""Verifying what we issue, for whoever receives it: no database, no settings, nothing taken on the document's word.

Owns reading documents of unknown origin within limits, the numbered steps, and what they leave unproven. Does not own
what evidence means (``domain``) nor its format (``evidence_format``). Reading, judging and asking are apart: everything
but ``targets`` and ``online`` is pure.
"""

from pacspace_stripe.verify.online import Services, services
from pacspace_stripe.verify.report import Outcome, Report, Result, Step
from pacspace_stripe.verify.targets import verify

__all__ = ["Outcome", "Report", "Result", "Services", "Step", "services", "verify"]
