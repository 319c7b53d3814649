"""What one invoice bills: its metered lines per meter, window and ledger account, and the figures that name them.

Pure. Every metered line is mapped and recognised first; what is not, is a problem of its own and never a guess.

    lines      which lines bill usage, which do not, and which are of a kind that is not known
    shares     what one price bills of a meter in one window: plain, tiered, in packages
    prorations which lines bill usage, and which only correct money
    pushed     what invoice items bill of usage that another system counted
    usages     those of all prices on one meter and window, mapped to their ledger account
    metering   where the lines alone do not say it: what the meter's summaries make of them
    running    what earlier invoices of the same period have billed: thresholds
    accounts   the ledger account, and who else bills it
    figures    the exact quantities that a stamp and a waiver name
"""

from pacspace_stripe.usage.rules.accounts import (
    ACCOUNT_METADATA_KEY,
    SHARED_ACCOUNT,
    ledger_account,
    rival_detail,
    shared_accounts,
)
from pacspace_stripe.usage.rules.billed_usage import billed_usage, other_subscriptions
from pacspace_stripe.usage.rules.figures import billed_figures, figures_of, same_figures
from pacspace_stripe.usage.rules.line_reading import Share
from pacspace_stripe.usage.rules.lines import is_metered, may_bill_usage, metered_lines
from pacspace_stripe.usage.rules.metering import below_zero, by_formula, lagging, may_be_below_zero, with_meter
from pacspace_stripe.usage.rules.pushed import UNNAMED, names_metronome
from pacspace_stripe.usage.rules.running import (
    THRESHOLD,
    bills_later,
    cut_short,
    earlier_of_period,
    lacks_some,
    open_question,
)
from pacspace_stripe.usage.rules.usage import BilledUsage

__all__ = [
    "ACCOUNT_METADATA_KEY",
    "SHARED_ACCOUNT",
    "THRESHOLD",
    "UNNAMED",
    "BilledUsage",
    "Share",
    "below_zero",
    "billed_figures",
    "billed_usage",
    "bills_later",
    "by_formula",
    "cut_short",
    "earlier_of_period",
    "figures_of",
    "is_metered",
    "lacks_some",
    "lagging",
    "ledger_account",
    "may_be_below_zero",
    "may_bill_usage",
    "metered_lines",
    "names_metronome",
    "open_question",
    "other_subscriptions",
    "rival_detail",
    "same_figures",
    "shared_accounts",
    "with_meter",
]
