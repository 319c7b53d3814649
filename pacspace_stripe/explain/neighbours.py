"""Where else usage may have gone: the customer's other meters, and accounts with the opposite drift.

Candidates come from the invoice and from our own store: never a scan of all customers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice

from pacspace_stripe.explain.meter_account import Place
from pacspace_stripe.explain.rules.drift_location import Bucket, Neighbour, Piece, around, bucket
from pacspace_stripe.explain.rules.explanation import Cause
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.ledger.rules.selection import Selection
from pacspace_stripe.store import Store
from pacspace_stripe.stripe_api import StripeApi
from pacspace_stripe.usage.rules import ledger_account
from pacspace_stripe.vocabulary.invoices import Invoice
from pacspace_stripe.vocabulary.policy import Policy
from pacspace_stripe.vocabulary.windows import Window

_MOST_DRIFTING, _MOST_READ = 200, 6
"""Drifts looked through in our store, and those of them asked about."""
_AN_INVOICE = "in_"
"""How its id begins; an early warning's does otherwise."""
_MOST_CLAIMS, _MOST_BESIDE = 100, 4
"""The same of invoices that were not judged yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place whose figures may be the mirror of ours."""

    place: Place
    cause: Cause
    name: str

    def beside(self, pieces: tuple[Piece, ...], slack: timedelta) -> Neighbour:
        """Its figures where ours differ, and a little around: two requests for each part."""
        buckets = [each for piece in pieces for each in self._around(piece.bucket.window, slack)]
        return Neighbour(name=self.name, cause=self.cause, buckets=tuple(buckets))

    def _around(self, part: Window, slack: timedelta) -> Iterator[Bucket]:
        """The part with all that may belong to it: its ends cut usage of the neighbour's own in two, too."""
        wide = Window(start=part.start - slack, end=part.end + slack)
        entries = self.place.entries(Window(start=wide.start, end=wide.end + slack))
        counted = self.place.counted(wide)
        yield from (bucket(wide, counted, chosen) for chosen in around(wide, entries, slack))


def candidates(
    place: Place,
    invoice: Invoice,
    window: Window,
    *,
    drift: Decimal,
    store: Store,
    policy: Policy,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Candidate]:
    """Return the likeliest first, and name in a note those that are left out because there are too many."""
    yield from _other_meters(place, invoice, policy)
    yield from _drifting(place, invoice, window, drift=drift, store=store, policy=policy, note=note)
    yield from _not_judged(place, invoice, window, store=store, policy=policy, note=note)


def _other_meters(place: Place, invoice: Invoice, policy: Policy) -> Iterator[Candidate]:
    for name, meter_id in meters_on(invoice, place.stripe).items():
        account = ledger_account(
            policy.ledger_account, customer_id=invoice.customer_id, meter=name, metadata=invoice.subscription_metadata
        )
        if name == place.meter or account is None:
            continue
        selection = Selection.of(policy, name)
        if account == place.account and not selection.splits:
            continue
        there = replace(place, meter=name, meter_id=meter_id, account=account, selection=selection)
        yield Candidate(place=there, cause=Cause.WRONG_METER, name=name)


def meters_on(invoice: Invoice, stripe: StripeApi) -> dict[str, str]:
    """The meters behind the invoice's lines, with their ids."""
    found: dict[str, str] = {}
    for price_id in sorted({line.price_id for line in invoice.line_items if line.price_id}):
        meter_id = stripe.price(price_id).meter_id
        if meter_id is not None:
            found[stripe.meter(meter_id).event_name] = meter_id
    return found


def _drifting(
    place: Place,
    invoice: Invoice,
    window: Window,
    *,
    drift: Decimal,
    store: Store,
    policy: Policy,
    note: Callable[[str], None],
) -> Iterator[Candidate]:
    """Of accounts with the opposite drift, those where it is the same first."""
    found: list[tuple[bool, InvoiceState, str, str]] = []
    drifting = store.coverage.drifting(invoice.invoice_id, window, most=_MOST_DRIFTING + 1)
    for memory in drifting[:_MOST_DRIFTING]:
        for shown in memory.windows:
            theirs = _drift(shown)
            if theirs is not None and theirs * drift < 0:
                found.append((theirs != -drift, memory, str(shown["account"]), str(shown["meter"])))
    likeliest = sorted(found, key=lambda each: each[0])[:_MOST_READ]
    for _, memory, account, meter in likeliest:
        candidate = _candidate(place, memory, account)
        if meter != place.meter:
            candidate = _under_another_meter(place, memory, account, meter, policy)
        if candidate is not None:
            yield candidate
    if len(drifting) > _MOST_DRIFTING or len(found) > _MOST_READ:
        many = "more" if len(drifting) > _MOST_DRIFTING else str(len(found) - len(likeliest))
        note(f"{many} accounts that drifted the other way were not looked at")


def _drift(shown: object) -> Decimal | None:
    if not isinstance(shown, dict) or None in (shown.get("account"), shown.get("billed"), shown.get("recorded")):
        return None
    return Decimal(str(shown["billed"])) - Decimal(str(shown["recorded"]))


def _candidate(place: Place, memory: InvoiceState, account: str) -> Candidate | None:
    """Another customer's account for the same meter; of ours, another one."""
    if memory.customer_id is None or account == place.account:
        return None
    there = replace(place, customer_id=memory.customer_id, account=account)
    return Candidate(place=there, cause=Cause.WRONG_CUSTOMER, name=account)


def _under_another_meter(
    place: Place, memory: InvoiceState, account: str, meter: str, policy: Policy
) -> Candidate | None:
    """The same customer's, on another invoice: that says which meter it is."""
    selection = Selection.of(policy, meter)
    same = account == place.account and not selection.splits
    if same or memory.customer_id != place.customer_id or not memory.invoice_id.startswith(_AN_INVOICE):
        return None
    meter_id = meters_on(place.stripe.read_invoice(memory.invoice_id), place.stripe).get(meter)
    if meter_id is None:
        return None
    there = replace(place, meter=meter, meter_id=meter_id, account=account, selection=selection)
    return Candidate(place=there, cause=Cause.WRONG_METER, name=meter)


def _not_judged(
    place: Place, invoice: Invoice, window: Window, *, store: Store, policy: Policy, note: Callable[[str], None]
) -> Iterator[Candidate]:
    """A claim names no meter: where each meter has an account of its own, only the one of ours may be it."""
    claimed = store.coverage.beside(invoice.invoice_id, window, most=_MOST_CLAIMS + 1)
    found = (each for each in _beside(place, claimed[:_MOST_CLAIMS], store) if _of_our_meter(each, policy))
    yield from islice(found, _MOST_BESIDE)
    if len(claimed) > _MOST_CLAIMS or next(found, None) is not None:
        note(f"of the accounts that are not compared yet, only {_MOST_BESIDE} were looked at")


def _beside(place: Place, claimed: Iterable[tuple[str, str]], store: Store) -> Iterator[Candidate]:
    for invoice_id, account in claimed:
        job = store.jobs.find(invoice_id)
        candidate = _candidate(place, job.memory, account) if job else None
        if candidate is not None:
            yield candidate


def _of_our_meter(candidate: Candidate, policy: Policy) -> bool:
    there = candidate.place
    own = ledger_account(policy.ledger_account, customer_id=there.customer_id, meter=there.meter, metadata={})
    return "{meter}" not in policy.ledger_account or own == there.account
