"""What can still be done about a drift, and until when: ready commands, which nobody but a person runs."""

from pacspace_stripe.explain.rules.corrections.plan import plan
from pacspace_stripe.explain.rules.corrections.values import Correction, CorrectionKind

__all__ = ["Correction", "CorrectionKind", "plan"]
