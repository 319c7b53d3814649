"""Rules of Stripe's side: from an invoice's lines to the usage that they bill per meter and window. Pure.

lines           which lines bill usage, which only correct money, and which are of an unknown kind
billed_usage    the values: lines of one price, usage of one meter and window, and the figures that a stamp names
thresholds      several invoices of one period: what earlier ones have billed
accounts        the ledger account or settlement record of a usage, and what vouches for one invoice only
invoice_items   usage that another system counted
invoice_usage   all of these together: what one invoice bills
line_reading    what the meter's summaries add, where the lines alone do not show what is billed
"""

from pacspace_stripe.usage.rules.accounts import (
    ACCOUNT_METADATA_KEY,
    SHARED_ACCOUNT,
    CoveredPart,
    covered_part,
    covered_parts,
    ledger_account,
    on_records,
    overlap_detail,
    shared_accounts,
)
from pacspace_stripe.usage.rules.billed_usage import (
    BilledUsage,
    PriceLines,
    billed_figures,
    figures_of,
    same_figures,
)
from pacspace_stripe.usage.rules.invoice_items import UNNAMED, names_metronome
from pacspace_stripe.usage.rules.invoice_usage import billed_usage, other_subscriptions
from pacspace_stripe.usage.rules.line_reading import (
    apply_meter,
    judge_below_zero,
    judge_by_formula,
    judge_lagging_lines,
    may_be_below_zero,
)
from pacspace_stripe.usage.rules.lines import is_metered, may_bill_usage, metered_lines
from pacspace_stripe.usage.rules.thresholds import (
    THRESHOLD,
    bills_later,
    bills_less,
    judge_threshold,
    open_question,
    thresholds_of_period,
)

__all__ = [
    "ACCOUNT_METADATA_KEY",
    "SHARED_ACCOUNT",
    "THRESHOLD",
    "UNNAMED",
    "BilledUsage",
    "CoveredPart",
    "PriceLines",
    "apply_meter",
    "billed_figures",
    "billed_usage",
    "bills_later",
    "bills_less",
    "covered_part",
    "covered_parts",
    "figures_of",
    "is_metered",
    "judge_below_zero",
    "judge_by_formula",
    "judge_lagging_lines",
    "judge_threshold",
    "ledger_account",
    "may_be_below_zero",
    "may_bill_usage",
    "metered_lines",
    "names_metronome",
    "on_records",
    "open_question",
    "other_subscriptions",
    "overlap_detail",
    "same_figures",
    "shared_accounts",
    "thresholds_of_period",
]
