"""The next step of a person, for each reason that keeps an invoice back.

No step bypasses the gate: an invoice leaves because both sides agree, or because a person releases it with a reason.
"""

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict

_BY_ITSELF = "Nothing to do at first: the invoice is checked again automatically."
_DRIFTED = (
    "`pacspace-stripe explain {invoice}` shows where the two sides differ and what can be done; once they agree, the"
    " invoice goes on automatically."
)
_NEXT_STEPS: dict[Reason, str] = {
    Reason.STRIPE_MISSING: _DRIFTED,
    Reason.LEDGER_MISSING: _DRIFTED,
    Reason.OVERBILLED: _DRIFTED,
    Reason.UNDERBILLED: _DRIFTED,
    Reason.PERIOD_EDGE: _DRIFTED,
    Reason.DUPLICATE: _DRIFTED,
    Reason.CHANGED_AT_FINALIZATION: (
        "Its lines changed when Stripe finalized it, so its stamp says drifted. Compare the final lines with the"
        " ledger; then void it in Stripe and bill again, or release it with"
        " `pacspace-stripe release {invoice} --reason TEXT`."
    ),
    Reason.NOT_SETTLED: (
        f"{_BY_ITSELF} If the same records stay unverified, or the same gap stays in the ledger's sequence, ask"
        " PacSpace about the records that are named."
    ),
    Reason.UNMAPPED: (
        "Name the ledger account that has the usage: `pacspace_customer_id` in the subscription's metadata, or"
        " PACSPACE_STRIPE_LEDGER_ACCOUNT; with several meters on one account also PACSPACE_STRIPE_METER_FROM."
        " The next check reads both again."
    ),
    Reason.ROOT_STALE: (
        "PacSpace's checkpoint covers other records than the ledger has now. `pacspace-stripe evidence {invoice}` shows"
        " both; find out which records came later. If they belong to this period, only"
        " `pacspace-stripe release {invoice} --reason TEXT` releases it, and PacSpace's support can say why the"
        " checkpoint is frozen."
    ),
    Reason.LEDGER_UNAVAILABLE: (
        f"{_BY_ITSELF} If that continues, check PacSpace's status, PACSPACE_API_KEY and PACSPACE_API_BASE_URL"
        " with `pacspace-stripe ledger balance ACCOUNT`."
    ),
    Reason.STRIPE_UNAVAILABLE: (
        f"{_BY_ITSELF} If that continues, check Stripe's status and the permissions of STRIPE_API_KEY, which"
        " webhooks/README.md lists."
    ),
    Reason.LEDGER_INCONSISTENT: (
        "PacSpace gave two figures for the same records. The invoice is checked again automatically; if it stays so,"
        " send PacSpace's support the figures that `pacspace-stripe evidence {invoice}` shows."
    ),
    Reason.UNKNOWN_SHAPE: (
        "This version cannot compare what is named above. Check whether a newer pacspace-stripe can; until then compare"
        " that part by hand, and release the invoice with `pacspace-stripe release {invoice} --reason TEXT` only if"
        " both sides agree."
    ),
    Reason.UNSUPPORTED_API_VERSION: (
        "Stripe answered in an API version that this version does not read. Install a newer pacspace-stripe; the"
        " invoice is checked again automatically."
    ),
}


def next_step(reason: Reason | None, invoice_id: str) -> str:
    """Return the next step about an invoice; empty for a reason that keeps nothing back."""
    if reason is None or reason.verdict is Verdict.MATCHED:
        return ""
    return _NEXT_STEPS[reason].format(invoice=invoice_id)
