"""The one story: take one invoice one step towards its right end state, from fresh reads, at any time."""

from pacspace_stripe.checks.acting import Rendering
from pacspace_stripe.checks.checker import Checker
from pacspace_stripe.checks.comparing import Comparer
from pacspace_stripe.checks.explaining import Explaining
from pacspace_stripe.checks.judging import Judge
from pacspace_stripe.checks.ledgers import BalanceLedger, Ledger, SettlementLedger
from pacspace_stripe.checks.outages import reason_of
from pacspace_stripe.checks.parts import Parts
from pacspace_stripe.checks.result import CheckResult, result_of, shown_windows
from pacspace_stripe.checks.telling import Alerts
from pacspace_stripe.checks.upcoming import EarlyWarning, subject_id

__all__ = [
    "Alerts",
    "BalanceLedger",
    "CheckResult",
    "Checker",
    "Comparer",
    "EarlyWarning",
    "Explaining",
    "Judge",
    "Ledger",
    "Parts",
    "Rendering",
    "SettlementLedger",
    "reason_of",
    "result_of",
    "shown_windows",
    "subject_id",
]
