"""The stamp that an invoice carries, beside the one that we wrote down and a new finding. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.stamp import EVIDENCE_KEY, ROOT_KEY, SHA256, VERDICT_KEY, put_back
from pacspace_stripe.gate.rules.state import InvoiceState, WrittenStamp
from pacspace_stripe.usage.rules import figures_of, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedStamp:
    """Change of our last stamp by somebody else."""

    metadata: Mapping[str, str]
    """The changes that put our keys back; the merchant's own are not among them."""
    footer: bool
    """Our block in the footer is gone, or says something else."""

    def __str__(self) -> str:
        return ", ".join([*sorted(self.metadata), *(["footer"] if self.footer else [])])


def changed_stamp(invoice: Invoice, state: InvoiceState) -> ChangedStamp | None:
    """Return what is missing of our last stamp, or is not as we wrote it; None when nothing is, or nothing is known.

    A stamp that was never seen on the invoice may never have been written: a check decides about it again. Evidence
    that is not ours, and that the footer does not contradict, may be of a newer database: a check compares first.
    """
    stamped = state.stamp
    if stamped is None or not stamped.metadata or not (stamped.written or carries_stamp(invoice, state)):
        return None
    block = find_block(invoice.footer)
    sha = invoice.metadata.get(EVIDENCE_KEY, "")
    if sha != stamped.evidence_sha256 and SHA256.fullmatch(sha) and (block is None or sha in block):
        return None
    metadata = put_back(invoice.metadata, stamped.metadata)
    footer = stamped.footer is not None and (block or "").split() != stamped.footer.split()
    return ChangedStamp(metadata=metadata, footer=footer) if metadata or footer else None


def footer_is_lost(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether an invoice that we hold was finalized without our block in its footer, which is frozen now."""
    changed = changed_stamp(invoice, state) if state.held and invoice.status is InvoiceStatus.OPEN else None
    return changed is not None and changed.footer


def carries_stamp(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether our last stamp is on the invoice."""
    return state.stamp is not None and invoice.metadata.get(EVIDENCE_KEY) == state.stamp.evidence_sha256


def carries_good_stamp(invoice: Invoice, state: InvoiceState) -> bool:
    """Return whether our last stamp is on the invoice, and is one that lets it go."""
    return stamped_good(state) and carries_stamp(invoice, state)


def stamped_good(state: InvoiceState) -> bool:
    """Return whether our last stamp is one that lets an invoice go."""
    return state.stamp is not None and state.stamp.verdict.may_leave


def stamp_stays(invoice: Invoice, state: InvoiceState, finding: Finding) -> bool:
    """Return whether the stamp on an invoice outlives a finding: only a finding replaces a stamp.

    *Matched* and *drifted* are findings (a stamp that proves the same match is kept before this is asked). *Unproven*
    replaces only a stamp of ours that was unproven too, or that Stripe's own lines refute: the invoice does not bill
    the quantities any more that the stamp names. *Waived* because nothing could be proven vouches for less than the
    proof or waiver in the customer's PDF, which cannot follow it once the invoice has left.
    """
    there = {name: invoice.metadata.get(name, "") for name in (VERDICT_KEY, EVIDENCE_KEY, ROOT_KEY)}
    if not any(there.values()):
        return False
    match finding.verdict:
        case Verdict.UNPROVEN:
            ours = state.stamp if carries_stamp(invoice, state) else None
            return ours is None or _vouches_still(ours, finding)
        case Verdict.WAIVED:
            left = invoice.status is not InvoiceStatus.DRAFT and not state.held
            unproven = finding.reason.verdict is Verdict.UNPROVEN
            return left and unproven and there[VERDICT_KEY] not in (Verdict.DRIFTED.value, Verdict.UNPROVEN.value)
        case Verdict.MATCHED | Verdict.DRIFTED:
            return False


def on_it(invoice: Invoice) -> str:
    """Return the stamp on an invoice in words: its verdict and the evidence that it names."""
    verdict, sha = invoice.metadata.get(VERDICT_KEY), invoice.metadata.get(EVIDENCE_KEY)
    return f"{verdict or 'no verdict'}, {f'evidence {sha[:12]}' if sha else 'no evidence'}"


def _vouches_still(ours: WrittenStamp, finding: Finding) -> bool:
    return ours.verdict is not Verdict.UNPROVEN and not _other_quantities(ours.figures, figures_of(finding))


def _other_quantities(stamped: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether a quantity that both name is another one; what one of them does not know refutes nothing."""
    both = {key for key in stamped.keys() & now.keys() if "unknown" not in (stamped[key], now[key])}
    return not same_figures({key: stamped[key] for key in both}, {key: now[key] for key in both})
