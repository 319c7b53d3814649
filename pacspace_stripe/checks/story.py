"""check(invoice), top to bottom.

1. take the lease                      one process at a time acts on an invoice
2. read the invoice, all its lines     fresh, at the pinned API version; nothing decided earlier is replayed
3. nothing metered?                    not ours: no hold, no write
4. before the comparison               hold or backstop at first sight, wait until usage has settled
5. compare, prove                      both figures per window; checkpoint and cross-check only what matched
6. evidence                            one link of the subscription's chain, when there is anything new to say
7. act                                 stamp, finalize, read again, release; or hold, alert
8. give the lease back                 with the time of the next look
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from pacspace_stripe.checks.acting import Actor, Rendering, figures_of
from pacspace_stripe.checks.comparing import Comparer
from pacspace_stripe.checks.result import CheckResult, result_of, shown_windows
from pacspace_stripe.checks.telling import Alerts
from pacspace_stripe.domain import decide, evidence
from pacspace_stripe.domain.invoices import Invoice, InvoiceStatus
from pacspace_stripe.domain.memory import FirstSight, Memory, Stage, Waiver
from pacspace_stripe.domain.policy import FinalizePolicy, Mode, Policy
from pacspace_stripe.domain.reconcile import ACCOUNT_METADATA_KEY, BilledUsage, billed_figures, same_figures
from pacspace_stripe.domain.stamps import carries_our_hold, sign_of_hold
from pacspace_stripe.domain.verdicts import Finding, Reason, Verdict
from pacspace_stripe.domain.windows import Window
from pacspace_stripe.errors import LeaseBusy, NotEditable, NotFound, RateLimited, RemoteError, UnexpectedAnswer
from pacspace_stripe.store import Kind, Leased, Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.transport import Transport

RATE_LIMITED_LOOK = timedelta(seconds=2)
"""A 429 says nothing about the invoice: look again soon, without climbing the retry ladder."""
PATIENT_LOOKS = 5
"""Looks in a row that 429s may end before they count as no answer."""
_GIVEN_UP = (InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE)
READ_AGAIN = 3
"""How often one check starts over when Stripe says that the invoice changed under it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """Where one pass through the story ended."""

    memory: Memory
    status: str
    next_check_at: datetime | None
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """The story's parts. ``now`` is the only clock; ``lease`` how long one look may take unrenewed."""

    stripe: StripeApi
    comparer: Comparer
    rendering: Rendering
    store: Store
    alerts: Alerts
    transport: Transport
    policy: Policy
    lease: timedelta
    now: Callable[[], datetime]

    def check(self, invoice_id: str, *, waiver: Waiver | None = None) -> CheckResult:
        """One step towards the right end state. Raises LeaseBusy, StoreUnavailable; nothing else is lost.

        ``waiver``: a person's decision, kept with the invoice; its figures are filled in from what is billed now.
        """
        leased = self.store.subjects.acquire(Kind.INVOICE, invoice_id, self.lease)
        if leased is None:
            message = f"{invoice_id} is being looked at by another process"
            raise LeaseBusy(message)
        looked = self._looked(leased, waiver)
        leased.give_back(looked.memory, looked.next_check_at)
        return result_of(looked.memory, status=looked.status, steps=looked.steps, next_check_at=looked.next_check_at)

    def _looked(self, leased: Leased, waiver: Waiver | None) -> Looked:
        memory = leased.subject.memory
        look = _Look(checker=self, leased=leased, memory=memory, now=self.now(), waiver=waiver)
        try:
            with self.transport.guarded(leased.guard, reading=leased.keep):
                looked = look.run()
            unanswered = looked.memory.reason in (Reason.LEDGER_UNAVAILABLE, Reason.STRIPE_UNAVAILABLE)
            return looked if unanswered else replace(looked, memory=replace(looked.memory, failures=0))
        except RateLimited as error:
            if memory.failures >= PATIENT_LOOKS:
                return self._unread(look.as_saved(), error)
            wait = max(RATE_LIMITED_LOOK, min(error.retry_after or RATE_LIMITED_LOOK, timedelta(minutes=1)))
            again = replace(look.as_saved(), failures=memory.failures + 1)
            return Looked(again, "unread", self.now() + wait, ("rate limited",))
        except RemoteError as error:
            _log.warning("invoice=%s %s", memory.invoice_id, error)
            return self._unread(look.as_saved(), error)

    def _unread(self, memory: Memory, error: RemoteError) -> Looked:
        """Stripe did not answer, or said no: nothing was decided."""
        detail = f"{error} {error.hint}".strip()
        reason = Reason.STRIPE_UNAVAILABLE if error.service == "Stripe" else Reason.LEDGER_UNAVAILABLE
        said = Finding(verdict=Verdict.UNPROVEN, reason=reason, detail=detail, windows=())
        known = _found(memory, said) if memory.verdict in (None, Verdict.UNPROVEN) else replace(memory, detail=detail)
        if not error.retryable:
            known = self.alerts.tell(known, "stripe_refused", detail)
        elif isinstance(error, UnexpectedAnswer) or memory.failures >= PATIENT_LOOKS:
            known = self.alerts.tell(known, "unanswered", detail)
        wait = decide.ladder(self.policy, max(0, memory.failures - PATIENT_LOOKS))
        failed = replace(known, failures=memory.failures + 1)
        return Looked(failed, "unread", self.now() + wait, ("Stripe unavailable",))

    def mapped(self, memory: Memory, invoice: Invoice) -> tuple[Memory, Invoice]:
        """The invoice with its subscription's mapping as corrected since.

        Stripe copies a subscription's metadata onto a draft once. Where that led to no match, a person may have put
        it right meanwhile.
        """
        copied = invoice.subscription_metadata.get(ACCOUNT_METADATA_KEY, "")
        if invoice.subscription_id and (memory.verdict is Verdict.DRIFTED or memory.reason is Reason.UNMAPPED):
            subscription = self.stripe.read_subscription(invoice.subscription_id)
            named = subscription.metadata.get(ACCOUNT_METADATA_KEY, "")
            memory = replace(memory, mapping=None if named == copied else named)
        if memory.mapping is None:
            return memory, invoice
        metadata = {**invoice.subscription_metadata, ACCOUNT_METADATA_KEY: memory.mapping}
        return memory, replace(invoice, subscription_metadata=metadata)

    def preview(self, invoice_id: str) -> CheckResult:
        """The verdict now and what a check would do: reads only, remembers nothing."""
        invoice = self.stripe.read_invoice(invoice_id)
        subject = self.store.subjects.find(invoice_id)
        memory = remembered(subject.memory if subject else Memory(invoice_id=invoice_id), invoice, self.now())
        shown = self._previewed(*self.mapped(memory, invoice))
        corrected, again = self.mapped(replace(memory, verdict=shown.verdict, reason=shown.reason), invoice)
        return shown if corrected.mapping == memory.mapping else self._previewed(corrected, again)

    def _previewed(self, memory: Memory, invoice: Invoice) -> CheckResult:
        usages = self.comparer.usages(invoice)
        if not usages and not memory.held:
            return result_of(replace(memory, detail="nothing metered"), status=invoice.status.value)
        ours = memory.held or (invoice.auto_advance and decide.fails_closed(memory, self.policy))
        finding = self.comparer.compare(invoice, usages, finalized_by_us=ours)
        finding = decide.with_waiver(finding, memory, billed_figures(usages))
        steps = self._planned(invoice, memory, finding)
        return result_of(_found(memory, finding), status=invoice.status.value, steps=steps)

    def _planned(self, invoice: Invoice, memory: Memory, finding: Finding) -> tuple[str, ...]:
        now = self.now()
        if memory.cleared:
            return ("nothing: it was let go with these lines",)
        step = decide.before_comparison(invoice, memory, self.policy, now)
        if isinstance(step, decide.End | decide.WatchRelease):
            return (str(step),)
        first = () if isinstance(step, decide.Compare) else (str(step),)
        held = replace(memory, held=True) if isinstance(step, decide.Hold) else memory
        later = decide.after_comparison(invoice, held, self.policy, now, finding)
        return (*first, *(str(action) for action in later))


def remembered(memory: Memory, invoice: Invoice, now: datetime) -> Memory:
    """Memory with the invoice's ids and, at first sight, Stripe's own plan for it.

    Somebody else's hold that was lifted since is a first sight again: from now on it is ours to gate, and what was
    stamped meanwhile lets nothing go.
    """
    lifted = memory.first is not None and not memory.first.auto_advance and not memory.held and invoice.auto_advance
    seen = FirstSight(at=now, auto_advance=invoice.auto_advance, finalizes_at=invoice.automatically_finalizes_at)
    signed = carries_our_hold(invoice.metadata, invoice.invoice_id)
    if memory.first is None and signed and not invoice.auto_advance:
        # Our database is a new one.
        memory = replace(memory, first=replace(seen, auto_advance=True), held=True, held_at=now, stage=Stage.HELD)
    elif memory.first is None or (lifted and invoice.status is InvoiceStatus.DRAFT):
        memory = replace(memory, first=seen, stamped=None, backstop_at=None)
    elif memory.held and memory.held_at is None and not invoice.auto_advance:
        # A hold of ours was sent and not noted: either it came to be, or somebody else's did.
        could_sign = sign_of_hold(invoice.metadata, invoice.invoice_id, now)
        ours = replace(memory, held_at=now, stage=Stage.HELD)
        memory = ours if signed or not could_sign else replace(memory, first=seen, held=False)
    return replace(memory, customer_id=invoice.customer_id, subscription_id=invoice.subscription_id)


def _found(memory: Memory, finding: Finding) -> Memory:
    """Memory with the finding; the retry ladder starts again when anything changed: then it may be right soon."""
    windows = shown_windows(finding) or memory.windows
    same = (memory.verdict, memory.reason, memory.windows) == (finding.verdict, finding.reason, windows)
    return replace(
        memory,
        verdict=finding.verdict,
        reason=finding.reason,
        detail=finding.detail,
        windows=windows,
        attempts=memory.attempts + 1 if same else 0,
        alerted=() if finding.verdict in (Verdict.MATCHED, Verdict.WAIVED) else memory.alerted,
    )


def _claims(invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Iterator[tuple[str, Window]]:
    """Which ledger accounts it bills, for which times. What was voided may be billed again: its claims are free."""
    bills = () if invoice.status in _GIVEN_UP else usages
    return ((usage.account, usage.window) for usage in bills if usage.account and usage.window)


@dataclass(slots=True, kw_only=True)
class _Look:
    """One pass: what it knows so far. Only lives inside ``Checker.check``."""

    checker: Checker
    leased: Leased
    memory: Memory
    now: datetime
    waiver: Waiver | None
    steps: tuple[str, ...] = ()

    def as_saved(self) -> Memory:
        """What was last written down, before a write that failed: its intent, not its wish."""
        return replace(self.leased.saved, alerted=self.memory.alerted)

    def run(self) -> Looked:
        for _ in range(READ_AGAIN):
            try:
                return self._once()
            except NotEditable:
                self.memory = self.as_saved()
                self._did("changed under us: read again")
        return self._until("unread", self.now + RATE_LIMITED_LOOK)

    def _once(self) -> Looked:
        try:
            invoice = self.checker.stripe.read_invoice(self.memory.invoice_id)
        except NotFound:
            return self._gone()
        self.memory = self._adopted(invoice, remembered(self.memory, invoice, self.now))
        self.memory, invoice = self.checker.mapped(self.memory, invoice)
        usages = self._usages(invoice)
        if not usages and (self.memory.precaution or not self.memory.held):
            self._give_back(invoice)
            return self._end(invoice.status.value, "nothing metered")
        self.checker.store.claims.put(self.memory.invoice_id, _claims(invoice, usages))
        if invoice.finalization_error:
            self._alert(f"finalization_failed:{invoice.finalization_error}", "Stripe could not finalize this invoice")
        self._take_over_block()
        self._waive(invoice, usages)
        return self._before(invoice, usages)

    def _gone(self) -> Looked:
        """A subscription's draft can't be deleted (stripe-facts 2.2): while we hold it, it is missed, not ended."""
        if not self.memory.held:
            self.checker.store.claims.put(self.memory.invoice_id, ())
            return self._end("deleted", "deleted in Stripe, or of another account")
        self._alert("held_but_gone", "Stripe does not know an invoice that we hold: is STRIPE_API_KEY of this account?")
        self.memory = replace(self.memory, attempts=self.memory.attempts + 1)
        return self._until("deleted", self.now + decide.ladder(self.checker.policy, self.memory.attempts))

    def _adopted(self, invoice: Invoice, memory: Memory) -> Memory:
        """We died after a stamp that let it go and before that was noted: no hold of ours is left on it."""
        fast = self.checker.policy.finalize is FinalizePolicy.FAST
        moving = invoice.auto_advance or invoice.status is InvoiceStatus.PAID
        if fast and moving and memory.held and not memory.finalized_by_us and decide.carries_stamp(invoice, memory):
            return replace(memory, held=False, stage=Stage.STAMPED)
        return memory

    def _usages(self, invoice: Invoice) -> tuple[BilledUsage, ...]:
        """What it bills. What we cannot read, we cannot let pass: held before the error goes on."""
        try:
            usages = self.checker.comparer.usages(invoice)
        except RemoteError:
            self._hold_unread(invoice)
            raise
        if usages and self.memory.precaution:
            self.memory = replace(self.memory, precaution=False)
        return usages

    def _hold_unread(self, invoice: Invoice) -> None:
        if self.memory.held or not invoice.auto_advance or invoice.status is not InvoiceStatus.DRAFT:
            return
        policy = self.checker.policy
        priced = any(line.price_id or line.subscription_id for line in invoice.line_items)
        if policy.mode is Mode.ENFORCE and decide.fails_closed(self.memory, policy) and priced:
            self.memory = replace(self.memory, precaution=True)
            self._hold(invoice, again=False)
            self._alert("held_unread", "its prices or meters could not be read: held until they can be")

    def _give_back(self, invoice: Invoice) -> None:
        """Nothing on it is metered after all: as if we had never held it."""
        if self.memory.precaution and self.memory.held:
            self.memory = self._actor.give_back(invoice, self.memory)
            self._did("give back")

    def _take_over_block(self) -> None:
        """The early warning found drift: this draft carries the block from here on."""
        subscription = self.memory.subscription_id
        if subscription is None or self.memory.blocked or self.memory.evidence_sha256:
            return
        block = self.checker.store.subjects.block_on(subscription)
        if block is not None:
            self.memory = replace(self.memory, blocked=True)
            self.leased.save(self.memory)
            self.checker.store.subjects.end_block(block.subject_id)
            self._did("blocked by the early warning")

    def _waive(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> None:
        figures = billed_figures(usages)
        if self.waiver is not None:
            given, self.waiver = self.waiver, None
            self._accept(invoice, usages, replace(given, figures=figures))
        elif self.memory.waiver and not self.memory.cleared and not same_figures(self.memory.waiver.figures, figures):
            detail = f"it named {dict(self.memory.waiver.figures)}, billed is now {figures}"
            self._alert("waiver_ended", detail)
            self.memory = replace(self.memory, waiver=None)

    def _accept(self, invoice: Invoice, usages: tuple[BilledUsage, ...], waiver: Waiver) -> None:
        """A person waives what was found wrong or unproven, and nothing that was not even compared."""
        finding = self._compared(invoice, usages)
        if finding.verdict is Verdict.MATCHED:
            finding = self.checker.comparer.prove(finding, patient=self._patient)
        if finding.verdict not in (Verdict.DRIFTED, Verdict.UNPROVEN):
            self._did(f"not waived: it is {finding.verdict.value}")
            return
        self.memory = replace(self.memory, waiver=waiver)
        self.leased.save(self.memory)
        detail = f"{waiver.by}: {waiver.reason} {dict(waiver.figures)}"
        self.checker.store.journal.note("waive", self.memory.invoice_id, detail)

    def _before(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:  # noqa: PLR0911 - one per step
        checker = self.checker
        match decide.before_comparison(invoice, self.memory, checker.policy, self.now):
            case decide.End(detail=detail):
                return self._end(invoice.status.value, detail)
            case decide.Wait(until=until):
                return self._until(invoice.status.value, until)
            case decide.Hold(again=again):
                held = self._hold(invoice, again=again)
                return self._settle(held, usages)
            case decide.Backstop(at=at):
                self.memory = self._actor.backstop(invoice, self.memory, at)
                self._did("backstop")
                return self._settle(replace(invoice, automatically_finalizes_at=at), usages)
            case decide.Confirm():
                return self._confirm(invoice, usages)
            case decide.WatchRelease():
                return self._watch(invoice)
            case decide.Compare():
                return self._compare(invoice, usages)
            case step:
                assert_never(step)

    @property
    def _actor(self) -> Actor:
        checker = self.checker
        return Actor(
            stripe=checker.stripe, store=checker.store, rendering=checker.rendering, leased=self.leased, now=self.now
        )

    def _hold(self, invoice: Invoice, *, again: bool) -> Invoice:
        if again:
            self._alert("hold_undone", "somebody set auto_advance=true under our hold: held again")
            told = tuple(kind for kind in self.memory.alerted if kind != "hold_undone")
            self.memory = replace(self.memory, alerted=told)
        self.memory, held = self._actor.hold(invoice, self.memory)
        self._did("hold")
        return held

    def _settle(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        """Held: compare when usage has settled, at once when it has."""
        if invoice.status is InvoiceStatus.DRAFT:
            until = decide.look_at(invoice, self.memory, self.checker.policy)
            if until > self.now:
                return self._until(invoice.status.value, until)
        return self._compare(invoice, usages)

    def _confirm(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        """It left: its final lines are those of the stamp on it, or it is compared again."""
        stamped = self.memory.stamped if decide.carries_stamp(invoice, self.memory) else None
        good = stamped is not None and stamped.verdict in (Verdict.MATCHED, Verdict.WAIVED)
        if stamped and good and same_figures(stamped.figures, billed_figures(usages)):
            self._did("confirmed")
            self.memory = replace(self.memory, cleared=True)
            return self._end(invoice.status.value, self.memory.detail)
        return self._compare(invoice, usages)

    def _watch(self, invoice: Invoice) -> Looked:
        if decide.release_showed_effect(invoice):
            return self._end(invoice.status.value, self.memory.detail)
        if self.memory.released_at is None:
            self.memory = replace(self.memory, released_at=self.now, held=False)
        deadline = (self.memory.released_at or self.now) + decide.EFFECT_WITHIN
        if self.now < deadline:
            return self._until(invoice.status.value, deadline)
        self._alert("release_without_effect", "released, but Stripe shows no attempt and no payment")
        return self._end(invoice.status.value, self.memory.detail)

    def _compare(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Looked:
        finding = self._finding(invoice, usages)
        self.memory = _found(self.memory, finding)
        self._remember_evidence(invoice, finding)
        return self._act(invoice, finding)

    def _finding(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Finding:
        figures = billed_figures(usages)
        finding = decide.with_waiver(self._compared(invoice, usages), self.memory, figures)
        enforced = self.checker.policy.mode is Mode.ENFORCE and invoice.status not in _GIVEN_UP
        if enforced and finding.verdict in (Verdict.MATCHED, Verdict.WAIVED):
            proven = self.checker.comparer.prove(finding, patient=self._patient)
            finding = decide.with_waiver(proven, self.memory, figures)
        return self._changed_at_finalization(invoice, finding, figures)

    @property
    def _patient(self) -> bool:
        return self.memory.failures < PATIENT_LOOKS

    def _compared(self, invoice: Invoice, usages: tuple[BilledUsage, ...]) -> Finding:
        if not usages:
            detail = "the metered lines that we held it for are gone"
            return Finding(verdict=Verdict.UNPROVEN, reason=Reason.UNKNOWN_SHAPE, detail=detail, windows=())
        observing = self.checker.policy.mode is Mode.OBSERVE and invoice.auto_advance
        ours_to_finalize = self.memory.held or observing
        return self.checker.comparer.compare(invoice, usages, finalized_by_us=ours_to_finalize, patient=self._patient)

    def _changed_at_finalization(self, invoice: Invoice, finding: Finding, figures: dict[str, str]) -> Finding:
        stamped = self.memory.stamped
        if stamped is None or invoice.status is InvoiceStatus.DRAFT or finding.verdict is not Verdict.DRIFTED:
            return finding
        if stamped.verdict is Verdict.DRIFTED or same_figures(stamped.figures, figures):
            unchanged = self.memory.reason is not Reason.CHANGED_AT_FINALIZATION
            return finding if unchanged else replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)
        return replace(finding, reason=Reason.CHANGED_AT_FINALIZATION)

    def _remember_evidence(self, invoice: Invoice, finding: Finding) -> None:
        """No echo: figures, policy and result equal to the last evidence are nothing new."""
        core = evidence.core(invoice, finding, self.checker.policy, self.memory.waiver)
        known = evidence.digest(evidence.meaning(core))
        if known == self.memory.evidence_core:
            return
        chain = invoice.subscription_id or invoice.invoice_id
        # The chain is not ours to extend once the lease is gone: whoever has it now decides.
        self.leased.guard()
        sealed = self.checker.store.chains.append(core, chain=chain, subject_id=invoice.invoice_id, decided_at=self.now)
        self.memory = replace(self.memory, evidence_sha256=sealed.sha256, evidence_core=known)
        self.leased.save(self.memory)

    def _act(self, invoice: Invoice, finding: Finding) -> Looked:
        actions = decide.after_comparison(invoice, self.memory, self.checker.policy, self.now, finding)
        current = invoice
        for action in actions:
            match action:
                case decide.Hold():
                    current = self._hold(current, again=False)
                case decide.Stamp():
                    self.memory, wrote = self._actor.stamp(current, self.memory, finding, action)
                    self._did("stamp") if wrote else None
                case decide.Finalize():
                    self.memory = self._actor.finalize(current, self.memory)
                    self._did("finalize")
                    _, current = self.checker.mapped(self.memory, self.checker.stripe.read_invoice(invoice.invoice_id))
                    left = self._after_finalization(current, finding)
                    if left is not None:
                        return left
                case decide.Release():
                    self.memory = self._actor.release(current, self.memory)
                    self._did("release")
                case decide.Alert(kind=kind):
                    self._alert(f"{kind}:{finding.reason.value}", finding.detail)
                case decide.Wait(until=until):
                    return self._until(current.status.value, until)
                case decide.End(detail=detail):
                    good = finding.verdict in (Verdict.MATCHED, Verdict.WAIVED)
                    self.memory = replace(self.memory, cleared=good)
                    return self._end(current.status.value, self.memory.detail or detail)
                case _:
                    assert_never(action)
        return self._until(current.status.value, self.now + RATE_LIMITED_LOOK)

    def _after_finalization(self, final: Invoice, stamped: Finding) -> Looked | None:
        """All lines again: None when they are what was stamped and it may be released."""
        usages = self.checker.comparer.usages(final)
        if same_figures(figures_of(stamped), billed_figures(usages)):
            if final.status is InvoiceStatus.OPEN:
                return None
            self.memory = replace(self.memory, cleared=True)
            return self._end(final.status.value, stamped.detail)
        return self._caught(final, usages, stamped)

    def _caught(self, final: Invoice, usages: tuple[BilledUsage, ...], stamped: Finding) -> Looked:
        """Late usage was folded in: not what was stamped, so it stays where it is."""
        comparer = self.checker.comparer
        now = comparer.compare(final, usages, finalized_by_us=False, patient=False) if usages else stamped
        detail = f"stamped {figures_of(stamped)}, final {billed_figures(usages)}"
        finding = Finding(
            verdict=Verdict.DRIFTED, reason=Reason.CHANGED_AT_FINALIZATION, detail=detail, windows=now.windows
        )
        self.memory = _found(self.memory, finding)
        self._remember_evidence(final, finding)
        return self._act(final, finding)

    def _alert(self, kind: str, detail: str) -> None:
        self.memory = self.checker.alerts.tell(self.memory, kind, detail)

    def _did(self, step: str) -> None:
        self.steps = (*self.steps, step)
        _log.info("invoice=%s step=%r verdict=%s", self.memory.invoice_id, step, self.memory.verdict)

    def _until(self, status: str, until: datetime) -> Looked:
        return Looked(self.memory, status, until, self.steps)

    def _end(self, status: str, detail: str) -> Looked:
        self.memory = replace(self.memory, stage=Stage.ENDED, held=False, detail=detail)
        return Looked(self.memory, status, None, self.steps)
