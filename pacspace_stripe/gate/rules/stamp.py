"""Our keys in an invoice's metadata, within Stripe's limits (FACTS 3.1): the stamp, and the sign of a hold.

The stamp is verdict and proof. The sign says that ``auto_advance`` is false because of us; it is written with the hold
in one update, so it distinguishes our hold from a person's after a crash, and even when our database was lost. The
second half compares the stamp that an invoice carries with the one that was written, and with a new finding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from pacspace_stripe.comparison.rules.verdicts import Finding, Verdict, WindowResult
from pacspace_stripe.gate.rules.footer import find_block
from pacspace_stripe.gate.rules.state import HoldCause, InvoiceState, WrittenStamp
from pacspace_stripe.usage.rules import figures_of, same_figures
from pacspace_stripe.vocabulary.invoices import Invoice, InvoiceStatus
from pacspace_stripe.vocabulary.quantities import text
from pacspace_stripe.vocabulary.windows import iso

PREFIX = "pacspace_"
HOLD_KEY = f"{PREFIX}hold"
VERDICT_KEY, EVIDENCE_KEY, ROOT_KEY = (f"{PREFIX}{name}" for name in ("verdict", "evidence_sha256", "proof_root"))
MOST_KEYS = 50
LONGEST_VALUE = 500
MOST_WINDOWS = 4
"""Number of windows with metadata of their own; the evidence lists all."""
_PER_INVOICE = ("verdict", "evidence_sha256", "waiver", "windows")
_PER_WINDOW = (
    *("window", "usage", "delta_count", "proof_root", "checkpoint_id", "verify_url"),
    *("record_key", "record_bits", "record_writes", "root_count"),
)
_FIGURES = ("window", "usage", "delta_count", "record_key", "record_bits", "record_writes")
SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
_SIGN = re.compile(
    rf"(?P<invoice>\S+) since (?P<since>{_TIME})(?: planned (?P<planned>{_TIME}))?(?P<precaution> precaution)?"
)
_SUFFIXES = ("", *(f"_{number}" for number in range(2, MOST_WINDOWS + 1)))
OURS = frozenset(
    [HOLD_KEY]
    + [f"{PREFIX}{name}" for name in _PER_INVOICE]
    + [f"{PREFIX}{name}{suffix}" for name in _PER_WINDOW for suffix in _SUFFIXES]
)
"""Every key that the gate writes. All others are the merchant's, ``pacspace_customer_id`` too, and stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStamp:
    """Changes to write: ``""`` deletes a key of an earlier stamp. ``shortened``: there was no room for all keys."""

    changes: Mapping[str, str]
    shortened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Content of the sign of a hold, so that even a new database knows what the old one did.

    It names the invoice, because Stripe copies metadata onto the revision of an invoice, which the gate does not hold.
    """

    invoice_id: str
    since: datetime
    planned_at: datetime | None
    """Stripe's own planned finalization, as first seen: the hold removes it from the invoice."""
    cause: HoldCause

    def written(self, existing: Mapping[str, str]) -> dict[str, str]:
        """Return the metadata change; it is empty when there is no room for another key."""
        planned = f" planned {iso(self.planned_at)}" if self.planned_at else ""
        precaution = " precaution" if self.cause is HoldCause.PRECAUTION else ""
        text = f"{self.invoice_id} since {iso(self.since)}{planned}{precaution}"
        return {HOLD_KEY: text} if HOLD_KEY in existing or len(existing) < MOST_KEYS else {}

    @classmethod
    def on(cls, existing: Mapping[str, str], invoice_id: str) -> Self | None:
        """Return the sign of our hold on this very invoice, if it is there."""
        found = _SIGN.fullmatch(existing.get(HOLD_KEY, ""))
        if found is None or found["invoice"] != invoice_id:
            return None
        try:
            since = datetime.fromisoformat(found["since"])
            planned_at = datetime.fromisoformat(found["planned"]) if found["planned"] else None
        except ValueError:
            return None
        cause = HoldCause.PRECAUTION if found["precaution"] else HoldCause.METERED
        return cls(invoice_id=invoice_id, since=since, planned_at=planned_at, cause=cause)


def metadata_stamp(
    existing: Mapping[str, str],
    finding: Finding,
    evidence_sha256: str,
    waiver: str | None = None,
    *,
    stays_held: bool = False,
) -> MetadataStamp:
    """Return the metadata changes that make ``existing`` carry exactly this finding; none when it already does.

    ``stays_held``: the sign of our hold stays on it, as far as there is room for it beside the proof.
    """
    return _fitted(existing, _all_keys(finding, evidence_sha256, waiver), keeps_hold=stays_held)


def put_back(existing: Mapping[str, str], written: Mapping[str, str]) -> Mapping[str, str]:
    """Return the metadata changes that make ``existing`` carry a stamp again as it was written; empty when it does.

    The sign of our hold stays, as far as there is room for it; every other key of ours that was not written goes.
    """
    return _fitted(existing, written, keeps_hold=True).changes


def ours(existing: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of a stamp, without the sign of a hold."""
    return {key: value for key, value in existing.items() if key in OURS and key != HOLD_KEY and value}


def _fitted(existing: Mapping[str, str], stamp: Mapping[str, str], *, keeps_hold: bool) -> MetadataStamp:
    room = MOST_KEYS - len(existing.keys() - OURS)
    kept = {HOLD_KEY} if keeps_hold and HOLD_KEY in existing and len(stamp) < room else set()
    shortened = len(stamp) > room
    if shortened:
        stamp = _few_keys(stamp, room)
    stale = {key: "" for key in existing if key in OURS and key not in kept and key not in stamp}
    changed = {key: value for key, value in stamp.items() if existing.get(key) != value}
    return MetadataStamp(changes={**changed, **stale}, shortened=shortened)


def _all_keys(finding: Finding, evidence_sha256: str, waiver: str | None) -> dict[str, str]:
    keys = {f"{PREFIX}verdict": finding.verdict.value, f"{PREFIX}evidence_sha256": evidence_sha256}
    if waiver is not None:
        keys[f"{PREFIX}waiver"] = waiver if len(waiver) <= LONGEST_VALUE else waiver[: LONGEST_VALUE - 1] + "…"
    for suffix, result in zip(_SUFFIXES, finding.windows, strict=False):
        keys |= {f"{PREFIX}{name}{suffix}": value for name, value in _window_keys(result).items()}
    if len(finding.windows) > 1:
        keys[f"{PREFIX}windows"] = str(len(finding.windows))
    return {key: value for key, value in keys.items() if 0 < len(value) <= LONGEST_VALUE}


def _window_keys(result: WindowResult) -> dict[str, str]:
    keys = {}
    if result.window is not None:
        keys["window"] = str(result.window)
    if result.billed is not None:
        keys["usage"] = text(result.billed)
    if result.record is not None and not result.record.verified:
        return keys
    if result.record is not None:
        # A settlement record has writes and no deltas, and no root: the record itself is the proof.
        record = result.record
        keys |= {"record_key": record.key, "record_bits": text(record.bits), "record_writes": str(record.writes)}
    elif result.count is not None:
        keys["delta_count"] = str(result.count)
    if result.proof is not None and result.proof.count != result.count:
        # The root also covers records that are no usage of this meter.
        keys["root_count"] = str(result.proof.count)
    if result.proof is not None:
        keys["proof_root"] = result.proof.proof_root
        keys["checkpoint_id"] = result.proof.checkpoint_id
        keys["verify_url"] = result.proof.verify_url
    return keys


def carried(existing: Mapping[str, str], finding: Finding) -> tuple[Finding, str] | None:
    """Return the finding that a stamp already proves, and the hash of that stamp's evidence; None when it does not.

    It does when the figures, counts and proof roots that it names are those found now. A preview finds no roots: then
    the stamp must name some. A stamp names what there was room for: the first ones of many windows, and perhaps none
    among the merchant's own keys. What a person waived stays waived while its figures are the same.
    """
    sha, verdict = existing.get(f"{PREFIX}evidence_sha256", ""), existing.get(f"{PREFIX}verdict")
    waived = verdict == Verdict.WAIVED.value and finding.verdict in (Verdict.DRIFTED, Verdict.UNPROVEN)
    if not SHA256.fullmatch(sha):
        return None
    if not waived and not verdict == finding.verdict.value == Verdict.MATCHED.value:
        return None
    if _shortened(existing, finding, sha):
        return None if waived else (finding, sha)
    named = zip(_SUFFIXES, finding.windows, strict=False)
    same_number = existing.get(f"{PREFIX}windows", "1") == str(len(finding.windows))
    if not same_number or not all(_names(existing, suffix, result, rooted=not waived) for suffix, result in named):
        return None
    return (replace(finding, verdict=Verdict.WAIVED) if waived else finding), sha


def _shortened(existing: Mapping[str, str], finding: Finding, sha: str) -> bool:
    """Return whether the merchant's own keys left no room for the figures of a stamp."""
    figures = any(existing.get(f"{PREFIX}{name}{suffix}") for name in _FIGURES for suffix in _SUFFIXES)
    return not figures and metadata_stamp(existing, finding, sha).shortened


def _names(existing: Mapping[str, str], suffix: str, result: WindowResult, *, rooted: bool) -> bool:
    keys = _window_keys(result)
    if any(existing.get(f"{PREFIX}{name}{suffix}") != keys.get(name) for name in _FIGURES):
        return False
    root = existing.get(f"{PREFIX}proof_root{suffix}")
    if result.proof is not None:
        counted = existing.get(f"{PREFIX}root_count{suffix}")
        return (root, counted) == (result.proof.proof_root, keys.get("root_count"))
    needs_root = rooted and bool(result.count) and result.record is None
    return not needs_root or root is not None


def _few_keys(keys: Mapping[str, str], room: int) -> dict[str, str]:
    """Return the most important keys, as many as there is room for."""
    names = (f"{PREFIX}verdict", f"{PREFIX}evidence_sha256", f"{PREFIX}verify_url")
    return {name: keys[name] for name in [name for name in names if name in keys][: max(room, 0)]}


# -- the stamp on an invoice, beside the one that was written ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedStamp:
    """Change of our last stamp by another party."""

    metadata: Mapping[str, str]
    """The changes that put our keys back; the merchant's own are not among them."""
    footer: bool
    """Our block in the footer is gone, or has another text."""

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
    """Return whether the stamp on an invoice stays although there is a new finding: silence replaces no stamp.

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
