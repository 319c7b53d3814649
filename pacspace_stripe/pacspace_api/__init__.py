"""What we ask of PacSpace's Balance API and of its older settlement API, and nothing else.

Owns the requests and the reading of PacSpace's answers, in all their documented spellings, into ``domain.ledger``.
Does not own how requests travel (``transport``), webhooks, or any decision. Section numbers are those of the contract.
"""

from pacspace_stripe.pacspace_api.api import PacSpaceApi
from pacspace_stripe.pacspace_api.failures import pacspace_failure
from pacspace_stripe.pacspace_api.reading import (
    balance_from_pacspace,
    checkpoint_from_pacspace,
    comparison_from_pacspace,
    invoice_proof_from_pacspace,
    proof_summary_from_pacspace,
)
from pacspace_stripe.pacspace_api.record import RecordApi

__all__ = [
    "PacSpaceApi",
    "RecordApi",
    "balance_from_pacspace",
    "checkpoint_from_pacspace",
    "comparison_from_pacspace",
    "invoice_proof_from_pacspace",
    "pacspace_failure",
    "proof_summary_from_pacspace",
]
