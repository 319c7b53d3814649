"""Properties of every world. Each judge takes one played world and yields what is wrong with it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import httpx
import rfc8785
import sqlalchemy as sa

from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.gate.rules.state import InvoiceState
from pacspace_stripe.simulator.stripe.world import StoredInvoice
from pacspace_stripe.store.tables import audit, evidence, jobs
from pacspace_stripe.vocabulary.invoices import InvoiceStatus
from tests.support.generated.plans import Outage, Restart, Stall
from tests.support.generated.player import Figures, Key, Player, Request, Touch, Truth

_DIGITS = 15
_WIDE = Context(prec=60)
OPENING, CLOSING = "— Usage record (PacSpace) —", "— end of usage record —"
Judge = Callable[[Player], Iterator[str]]


def differs(one: Decimal, other: Decimal) -> bool:
    """Return whether two quantities surely differ: 15 digits count, further ones may be a double's noise."""
    if max(_length(one), _length(other)) <= _DIGITS:
        return one != other
    return abs(_WIDE.subtract(one, other)) > _unit(one, other)


def same(one: Decimal, other: Decimal) -> bool:
    """Return whether two quantities are surely equal; a pair that is neither has its last digit on an edge."""
    return one == other or abs(_WIDE.subtract(one, other)) < _unit(one, other) / 4


def _unit(one: Decimal, other: Decimal) -> Decimal:
    """Return the value of the last of 15 digits."""
    return Decimal(1).scaleb(max(each.adjusted() for each in (one, other) if each) - _DIGITS + 1)


def _length(quantity: Decimal) -> int:
    return len(_WIDE.normalize(quantity).as_tuple().digits)


def _named(waived: Mapping[Key, tuple[Decimal, Decimal]], billed: Figures) -> bool:
    """Return whether a person saw these figures: the lines', or where those lagged, their meters'."""
    return waived.keys() == billed.keys() and all(
        not differs(line, billed[key]) or not differs(meter, billed[key]) for key, (line, meter) in waived.items()
    )


def tolerance(player: Player) -> Decimal:
    return Decimal(player.plan.setting("tolerance", "0"))


def differing(left: Figures, right: Figures, allowed: Decimal) -> list[str]:
    return [
        f"{key[0]} {left.get(key)} != {right.get(key)}" for key in left | right if _apart(left, right, key, allowed)
    ]


def _apart(left: Figures, right: Figures, key: Key, allowed: Decimal) -> bool:
    return key not in left or key not in right or farther(left[key], right[key], allowed)


def farther(one: Decimal, other: Decimal, allowed: Decimal) -> bool:
    """Return whether two quantities are surely farther apart than is allowed."""
    return differs(one, other) and abs(_WIDE.subtract(one, other)) > allowed + (_unit(one, other) if allowed else 0)


def near(one: Decimal, other: Decimal, allowed: Decimal) -> bool:
    """Return whether two quantities are surely as close as is allowed."""
    return same(one, other) or (bool(allowed) and abs(_WIDE.subtract(one, other)) < allowed - _unit(one, other))


def _mistyped(player: Player, invoice_id: str) -> bool:
    """Return whether its subscription ever named a ledger account without any record."""
    invoice = player.raw(invoice_id)
    return invoice is not None and player.subscription_of(invoice).mistyped


def invoices(player: Player) -> list[StoredInvoice]:
    """Return all invoices of the plan, oldest first."""
    return [one for one in player.stripe.account.invoices if one.subscription in player.subscription_ids]


def metered(player: Player) -> list[StoredInvoice]:
    return [one for one in invoices(player) if player.billed(one)]


def ours(player: Player, invoice: StoredInvoice) -> list[Request]:
    return [request for request in player.diary if request.invoice == invoice.id]


def memory(player: Player, invoice: StoredInvoice) -> InvoiceState | None:
    job = player.app.store.jobs.find(invoice.id)
    return job.state if job else None


def has_left(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether the invoice is paid, mailed, or on its way by itself."""
    moving = invoice.status.value == "open" and invoice.auto_advance
    return moving or invoice.status.value == "paid" or invoice.id in player.left


# -- 1: no release without proof -----------------------------------------------------------------------------------


def released_only_when_proven(player: Player) -> Iterator[str]:
    for request in player.diary:
        if request.releases and request.after and request.after.billed:
            yield from (f"1 released {request.invoice}: {wrong}" for wrong in _unproven(player, request, request.after))


def _unproven(player: Player, request: Request, truth: Truth) -> Iterator[str]:
    match truth.metadata.get("pacspace_verdict"):
        case "matched":
            if not _mistyped(player, str(request.invoice)) or any(truth.billed.values()):
                yield from differing(truth.billed, truth.recorded, tolerance(player))
            yield from _stamped_otherwise(truth, truth.billed)
        case "waived":
            agreed = player.waived.get(str(request.invoice), [])
            if not any(_named(waived, truth.billed) for waived in agreed):
                yield f"no person waived {truth.billed}, but {agreed}"
        case verdict:
            yield f"verdict {verdict}"


def _stamped_otherwise(truth: Truth, figures: Figures) -> Iterator[str]:
    """Yield what is wrong with the stamp, where there is room for one."""
    if "pacspace_usage" not in truth.metadata:
        if len(truth.metadata) < 45:
            yield "no usage is stamped"
        return
    for suffix in ("", "_2", "_3", "_4")[: len(figures)]:
        window = truth.metadata.get(f"pacspace_window{suffix}")
        usage = Decimal(truth.metadata.get(f"pacspace_usage{suffix}", "NaN"))
        if not any(_window_text(key) == window and not differs(usage, figures[key]) for key in figures):
            yield f"stamped {usage} for {window}, not one of {figures}"


def _window_text(key: Key) -> str:
    return f"{key[1]:%Y-%m-%dT%H:%M:%SZ}/{key[2]:%Y-%m-%dT%H:%M:%SZ}"


# -- 2: only what we held, never too early ---------------------------------------------------------------------------


def only_what_we_held(player: Player) -> Iterator[str]:
    for invoice in invoices(player):
        held = False
        for request in ours(player, invoice):
            held = held or request.holds
            if (request.finalizes or "auto_advance=true" in request.body) and not held:
                yield f"2 {request.method} {request.path} without a hold of ours"
        yield from _by_hand(player, invoice)


def _by_hand(player: Player, invoice: StoredInvoice) -> Iterator[str]:
    """Yield invoices that a person stopped and the gate started."""
    for request in ours(player, invoice):
        earlier = [who for at, who in _stops(player, invoice) if at <= request.at]
        if request.releases and earlier and earlier[-1] != "us":
            yield f"2 {invoice.id} was stopped by {earlier[-1]} and released by us"


def _stops(player: Player, invoice: StoredInvoice) -> list[tuple[datetime, str]]:
    """Return who held it and when. A hold by another party between our read and our write cannot be known."""
    stops = [(request.at, "us") for request in ours(player, invoice) if request.holds and request.after]
    hands = player.touched.get(invoice.id, ())
    return sorted(stops + [(touch.at, "a person") for touch in hands if _stops_it(touch)])


def _stops_it(touch: Touch) -> bool:
    """Return whether a person keeps it from moving on, also where our hold had stopped it before."""
    canceled = touch.does == "cancel" and touch.status in {"draft", "open"}
    finalized = touch.does == "finalize" and touch.status == "draft"
    return not touch.after and (touch.before or canceled or finalized)


def _held(request: Request) -> bool:
    return bool(request.before and request.after and request.before.auto_advance and not request.after.auto_advance)


def never_before_stripes_own_time(player: Player) -> Iterator[str]:
    for invoice in metered(player):
        planned = _planned(player, invoice)
        for request in ours(player, invoice):
            early = planned is not None and request.at.timestamp() < planned
            draft = request.before is not None and request.before.status == "draft"
            if early and draft and (request.finalizes or "auto_advance=true" in request.body):
                yield f"2 {request.path} at {request.at}, planned for {planned}"


def _planned(player: Player, invoice: StoredInvoice) -> int | None:
    created = (event.object for event in player.stripe.account.events if event.type == "invoice.created")
    return next((shown["automatically_finalizes_at"] for shown in created if shown["id"] == invoice.id), None)


# -- 3: no right invoice is held for ever ----------------------------------------------------------------------------


def no_right_invoice_is_held(player: Player) -> Iterator[str]:
    if player.observes:
        return
    for invoice in metered(player):
        if has_left(player, invoice) or invoice.status.value in {"void", "uncollectible"}:
            continue
        why = _why_held(player, invoice)
        if why is None:
            remembered = memory(player, invoice)
            said = f"{remembered.verdict} {remembered.reason} {remembered.detail}" if remembered else "unknown"
            yield f"3 {invoice.id} is right and still {invoice.status.value} at {player.clock.now()}: {said}"


def _why_held(player: Player, invoice: StoredInvoice) -> str | None:
    """Return a good reason for the invoice to be there still; None when there is none."""
    truth, subscription = player.truth(invoice.id), player.subscription_of(invoice)
    assert truth is not None
    figures = truth.metered if truth.status == "draft" else truth.billed
    accounts = {player.account(subscription, meter) for meter in subscription.meters}
    if len(accounts) < len(subscription.meters) and player.plan.setting("meter_from", "account") == "account":
        return "not compared yet"
    if subscription.mistyped and player.plan.subscriptions.index(subscription) not in player.corrected:
        return "mistyped"
    if _names_no_meter(player, accounts):
        return "a record that names no meter"
    if _has_rival(player, invoice):
        return "another invoice bills the same"
    if not all(near(figures[key], truth.answered[key], tolerance(player)) for key in figures):
        return "wrong, or as far as a double tells"
    if _is_frozen(player, invoice, truth):
        return "frozen"
    if truth.unsettled:
        return "unsettled"
    if not invoice.auto_advance and _stopped_by_hand(player, invoice):
        return "a hand hold"
    if invoice.status.value == "open" and _lost_its_footer(player, invoice):
        return "finalized without the footer that a person took off"
    return None


def _lost_its_footer(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether a person took our block off a draft that was finalized without it."""
    hands = player.touched.get(invoice.id, ())
    taken_off = any(touch.does.startswith("unfooter") and touch.status == "draft" for touch in hands)
    return taken_off and OPENING not in (invoice.footer or "")


def _names_no_meter(player: Player, accounts: set[str]) -> bool:
    """Return whether there is a deposit that no setting excludes, where each record has to name its meter."""
    apart = player.plan.setting("meter_from", "account") != "account"
    excluded = player.plan.setting("exclude_reasons", "").split(",")
    records = player.ledger._world.ledger  # noqa: SLF001  # the truth, not an answer about it
    reasons = {record.draft.reason for account in accounts for record in records.records(account)}
    return apart and "deposit" in reasons - set(excluded)


def _has_rival(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether another invoice was ever made for the same ledger account and time."""
    mine = _claims(player, invoice)
    others = [claim for other in metered(player) if other.id != invoice.id for claim in _claims(player, other)]
    return any(one[0] == two[0] and one[1] < two[2] and two[1] < one[2] for one in mine for two in others)


def _claims(player: Player, invoice: StoredInvoice) -> list[tuple[str, datetime, datetime]]:
    subscription = player.subscription_of(invoice)
    return [(player.account(subscription, meter), start, end) for meter, start, end in player.billed(invoice)]


def _stopped_by_hand(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether the last to stop it was a person."""
    stops = _stops(player, invoice)
    return bool(stops) and stops[-1][1] != "us"


def _is_frozen(player: Player, invoice: StoredInvoice, truth: Truth) -> bool:
    if dict(player.plan.ledger).get("late_deltas") != "frozen":
        return False
    subscription = player.subscription_of(invoice)
    for made in player.ledger.checkpoints():
        for key, count in truth.counts.items():
            same = made["customerId"] == player.account(subscription, key[0]) and _spans(made, key)
            if same and made["deltasCount"] != count:
                return True
    return False


def _spans(made: dict[str, str], key: Key) -> bool:
    start, end = (f"{at:%Y-%m-%dT%H:%M:%S}.000Z" for at in key[1:3])
    return made["startDate"] == start and made["endDate"] == end


# -- 4: stamps are those of the invoice, and the merchant's own text is kept ------------------------------------------


def stamps_are_its_own(player: Player) -> Iterator[str]:
    made = {each["checkpointId"]: each for each in player.ledger.checkpoints()}
    for invoice in invoices(player):
        stamped = {key: value for key, value in invoice.metadata.items() if key.startswith("pacspace_")}
        if stamped and not player.billed(invoice):
            yield f"4 {invoice.id} has nothing metered and carries {stamped}"
        for suffix in ("", "_2", "_3", "_4"):
            if f"pacspace_proof_root{suffix}" in stamped:
                one = {key: stamped.get(f"pacspace_{key}{suffix}", "") for key in _WINDOW_KEYS}
                wrong = _wrong_proof(player, invoice, one, made.get(one["checkpoint_id"], {}))
                yield from (f"4 {invoice.id}{suffix}: {each}" for each in wrong)


_WINDOW_KEYS = ("window", "usage", "delta_count", "root_count", "proof_root", "checkpoint_id", "verify_url")


def _wrong_proof(player: Player, invoice: StoredInvoice, one: dict[str, str], made: dict[str, object]) -> Iterator[str]:
    truth, subscription = player.truth(invoice.id), player.subscription_of(invoice)
    assert truth is not None
    keys = [key for key in truth.billed if _window_text(key) == one["window"]]
    accounts = {player.account(subscription, key[0]) for key in keys}
    accounts |= {f"typo.{subscription.customer}"} if subscription.mistyped else set()
    if made.get("proofRoot") != one["proof_root"] or made.get("customerId") not in accounts:
        yield f"checkpoint {made} is not that of {one}, {accounts}"
    elif not any(_spans(made, key) for key in keys):  # type: ignore[arg-type]  # these values are text
        yield f"checkpoint {made} is of another window than {one}"
    root = httpx.Request("GET", f"http://127.0.0.1:2/api/v1/verify/{one['proof_root']}")
    verified = json.loads(player.ledger(root).content, parse_float=Decimal)
    verified = verified.get("data", verified)
    if not verified["verified"]:
        yield f"the root does not verify: {verified}"
    summary = verified.get("summary")
    matched = invoice.metadata.get("pacspace_verdict") == "matched"
    if summary and matched and summary["recordCount"] != int(one["root_count"] or one["delta_count"]):
        yield f"the root covers {summary['recordCount']} records, stamped are {one['delta_count']}"
    net = abs(Decimal(str(summary["netChange"]))) if summary and not one["root_count"] else None
    if net is not None and matched and farther(net, Decimal(one["usage"]), tolerance(player)):
        yield f"the root nets {net}, stamped is {one['usage']}"


def the_merchants_own_is_kept(player: Player) -> Iterator[str]:
    for invoice in invoices(player):
        own = {key: value for key, value in invoice.metadata.items() if not key.startswith("pacspace_")}
        if own != player.own_metadata[invoice.id]:
            yield f"4 {invoice.id} metadata {own} instead of {player.own_metadata[invoice.id]}"
        outside = _outside(invoice.footer or "")
        if outside != player.own_footer[invoice.id]:
            yield f"4 {invoice.id} footer {outside!r} instead of {player.own_footer[invoice.id]!r}"


def _outside(footer: str) -> str:
    before, opening, rest = footer.partition(OPENING)
    if not opening:
        return footer
    _, _, after = rest.partition(CLOSING)
    return before.removesuffix("\n\n") + after


# -- 7, 8, 9: quiet when finished, silent when observing, all written down --------------------------------------------


def finished_is_finished(player: Player) -> Iterator[str]:
    for invoice in invoices(player):
        remembered = memory(player, invoice)
        if remembered is None or not remembered.ended:
            continue
        if _is_news(player, invoice):
            player.app.checker.check(invoice.id)
        before, asked = _written(player), len(player.diary)
        player.app.checker.check(invoice.id)
        after = _written(player)
        if after != before:
            news = [request for request in player.diary[asked:] if request.writes]
            wrote = [f"{request.method} {request.path} {request.body}" for request in news]
            found = f"{remembered.verdict}, {remembered.detail}"
            yield f"7 a second check of {invoice.id} ({found}): {before} to {after} {wrote}"


def _is_news(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether either side changed since the last check, or whether the gate acts."""
    now, looks = player.truth(invoice.id), [request for request in ours(player, invoice) if request.after]
    policies = any(isinstance(act, Restart) and act.settings for act in player.plan.acts)
    if policies or not now or not looks or not looks[-1].after or _has_rival(player, invoice):
        return True
    seen = looks[-1].after
    return (now.billed, now.recorded, now.counts) != (seen.billed, seen.recorded, seen.counts)


def _written(player: Player) -> tuple[int, int, int, int]:
    writes = sum(request.writes and request.path.startswith("/v1/") for request in player.diary)
    with player.app.store.engine.connect() as connection:
        counts = [sa.select(sa.func.count()).select_from(table) for table in (evidence, audit)]
        rows = [connection.execute(count).scalar() for count in counts]
    return (writes, len(player.ledger.checkpoints()), int(rows[0] or 0), int(rows[1] or 0))


def observing_writes_nothing(player: Player) -> Iterator[str]:
    for request in player.diary:
        if request.mode == "observe" and request.writes:
            yield f"8 {request.method} {request.path} {request.body} while observing"


def evidence_is_a_chain(player: Player) -> Iterator[str]:
    last: dict[str, tuple[int, str | None]] = {}
    with player.app.store.engine.connect() as connection:
        rows = connection.execute(sa.select(evidence).order_by(evidence.c.chain_id, evidence.c.sequence)).all()
    for row in rows:
        document = json.loads(row.document)
        sequence, previous = last.get(row.chain_id, (0, None))
        chain = {"id": row.chain_id, "sequence": sequence + 1, "previous_sha256": previous}
        if rfc8785.dumps(document) != bytes(row.document):
            yield f"9 {row.sha256} is not canonical"
        if hashlib.sha256(row.document).hexdigest() != row.sha256:
            yield f"9 {row.sha256} is not its own hash"
        if document["chain"] != chain or row.sequence != sequence + 1:
            yield f"9 {document['chain']} where {chain} comes next"
        last[row.chain_id] = (row.sequence, row.sha256)


def a_confirmation_repeats_its_decision(player: Player) -> Iterator[str]:
    with player.app.store.engine.connect() as connection:
        rows = connection.execute(sa.select(evidence).order_by(evidence.c.chain_id, evidence.c.sequence)).all()
    earlier: dict[str, Any] = {}
    for row in rows:
        document = json.loads(row.document)
        named = earlier.get(document["confirms"])
        figures = [(window["meter"], window["start"], window["billed"]) for window in document["windows"]]
        if document["confirms"] is not None and (
            named is None
            or (named["invoice"], named["decision"]) != (document["invoice"], document["decision"])
            or [(window["meter"], window["start"], window["billed"]) for window in named["windows"]] != figures
        ):
            yield f"9 {row.sha256} confirms {document['confirms']}, which says something else"
        earlier[row.sha256] = document


def every_write_has_its_audit_row(player: Player) -> Iterator[str]:
    for invoice in invoices(player):
        kinds = [kind for _, kind, _ in player.app.store.journal.audit_trail(invoice.id)]
        done = ours(player, invoice)
        for kind, happened in (
            ("hold", any(_held(request) and request.holds for request in done)),
            ("finalize", any(request.finalizes and _finalized(request) for request in done)),
            ("release", any(request.releases and request.after and request.after.status == "open" for request in done)),
            ("stamp", any(_stamps(request) for request in done)),
        ):
            if happened and kind not in kinds:
                yield f"9 {invoice.id}: {kind} is not in the audit trail {kinds}"


def _finalized(request: Request) -> bool:
    return bool(request.before and request.after and request.before.status == "draft" != request.after.status)


def _stamps(request: Request) -> bool:
    return bool(request.before and request.after and _stamp(request.before.metadata) != _stamp(request.after.metadata))


def _stamp(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key != "pacspace_hold"}


def what_we_let_go_is_signed_no_more(player: Player) -> Iterator[str]:
    for invoice in invoices(player):
        for request in ours(player, invoice):
            if request.releases and request.after and "pacspace_hold" in request.after.metadata:
                yield f"9 {invoice.id} was let go and still says that we hold it"


def stamped_evidence_exists(player: Player) -> Iterator[str]:
    with player.app.store.engine.connect() as connection:
        known = {row.sha256: row for row in connection.execute(sa.select(evidence))}
    for invoice in metered(player):
        sha = invoice.metadata.get("pacspace_evidence_sha256")
        if sha is None:
            continue
        row = known.get(sha)
        if row is None or row.job_id != invoice.id:
            yield f"9 {invoice.id} names evidence {sha}, which is not its own"
        elif json.loads(row.document)["decision"]["verdict"] != invoice.metadata.get("pacspace_verdict"):
            yield f"9 {invoice.id} is stamped otherwise than its evidence says"


# -- 10, 11: what leaves by Stripe's own clock ------------------------------------------------------------------------


def nothing_wrong_leaves_by_itself(player: Player) -> Iterator[str]:
    """Yield wrong departures of undisturbed worlds: closed lets only releases leave, open also unproven ones."""
    disturbing = (Outage, Restart, Stall)
    if player.observes or player.deaths or any(isinstance(act, disturbing) for act in player.plan.acts):
        return
    for invoice in metered(player):
        at_birth = invoice.billing_reason == "subscription_create"
        if not at_birth and has_left(player, invoice) and not _forced(player, invoice):
            if player.app.settings.fail.value == "closed":
                yield from _left_unreleased(player, invoice)
            else:
                yield from _left_open(player, invoice)


def _forced(player: Player, invoice: StoredInvoice) -> bool:
    forcing = {"pay", "finalize"}
    touches = player.touched.get(invoice.id, ())
    return any(touch.does in forcing or (touch.does == "on" and touch.status == "open") for touch in touches)


def _left_unreleased(player: Player, invoice: StoredInvoice) -> Iterator[str]:
    finalized_to_zero = any(request.finalizes and _finalized(request) for request in ours(player, invoice))
    if not any(request.releases for request in ours(player, invoice)) and not finalized_to_zero:
        yield f"11 {invoice.id} left without our release"


def _left_open(player: Player, invoice: StoredInvoice) -> Iterator[str]:
    truth = player.truth(invoice.id)
    assert truth is not None
    verdict = truth.metadata.get("pacspace_verdict")
    waits = timedelta(hours=int(player.plan.setting("backstop", "24h").removesuffix("h")))
    early = invoice.finalized_at and invoice.finalized_at < invoice.created + waits
    if verdict == "unproven" and early and not any(_is_matched(request) for request in ours(player, invoice)):
        yield f"10 {invoice.id} left unproven at {invoice.finalized_at}, before its backstop"
    if verdict is None:
        yield f"10 {invoice.id} left without a verdict on it"
    if verdict == "drifted" and not _changed_late(player, invoice):
        yield f"10 {invoice.id} left drifted"


def _is_matched(request: Request) -> bool:
    return bool(request.after and request.after.metadata.get("pacspace_verdict") == "matched")


def _changed_late(player: Player, invoice: StoredInvoice) -> bool:
    """Return whether one side changed after the gate had last seen the invoice as a draft."""
    seen = [request.after for request in ours(player, invoice) if request.after and request.after.status == "draft"]
    final = player.truth(invoice.id)
    assert final is not None
    return not seen or seen[-1].billed != final.billed or seen[-1].recorded != final.recorded


def what_is_stamped_is_what_we_say(player: Player) -> Iterator[str]:
    for invoice in metered(player):
        remembered, verdict = memory(player, invoice), invoice.metadata.get("pacspace_verdict")
        gone = invoice.status.value in {"void", "uncollectible"} or _observed(player)
        # A verdict that can no longer be proven takes back nothing that was found before.
        gone = gone or bool(remembered and remembered.verdict is Verdict.UNPROVEN)
        if remembered and remembered.ended and verdict and remembered.verdict != verdict and not gone:
            yield f"12 {invoice.id} is stamped {verdict}, we say {remembered.verdict} {remembered.reason}"


def _observed(player: Player) -> bool:
    """Return whether it observed for a while: an invoice that ended then carries an earlier stamp."""
    restarts = [act for act in player.plan.acts if isinstance(act, Restart)]
    return player.observes or any(("mode", "observe") in restart.settings for restart in restarts)


def what_left_carries_its_stamp(player: Player) -> Iterator[str]:
    """Yield removed or overwritten stamps that were not put back as written last, on drafts also in the footer."""
    if _observed(player):
        return
    for invoice in metered(player):
        if invoice.status.value in {"void", "uncollectible"}:
            continue
        written = [request.after for request in ours(player, invoice) if request.writes and request.after]
        last, now = _stamp(written[-1].metadata) if written else {}, _stamp(invoice.metadata)
        changed = [
            key for key in last.keys() | now.keys() if key.startswith("pacspace_") and last.get(key) != now.get(key)
        ]
        if "pacspace_verdict" in last and changed:
            yield f"15 {invoice.id} ({invoice.status.value}) is not stamped as we did: {changed}"
        footer, verdict = invoice.footer or "", now.get("pacspace_verdict")
        room = len(player.own_footer[invoice.id]) < 4000
        if invoice.status.value == "draft" and verdict == "matched" and room and OPENING not in footer:
            yield f"15 {invoice.id} is a matched draft without our block in its footer"
        set_free = (request for request in ours(player, invoice) if request.releases and request.before)
        if (
            room
            and _lost_its_footer(player, invoice)
            and any(one.before and one.before.status == "open" for one in set_free)
        ):
            yield f"15 {invoice.id} was released without the footer that a person took off"


def everything_is_looked_after(player: Player) -> Iterator[str]:
    with player.app.store.engine.connect() as connection:
        rows = {row.job_id: row for row in connection.execute(sa.select(jobs))}
    for row in rows.values():
        if row.stage != "ended" and row.next_check_at is None:
            yield f"13 {row.job_id} ({row.stage}) is forgotten"
        if row.lease_owner is not None:
            yield f"13 {row.job_id} is still leased"
    for invoice in metered(player):
        if invoice.id not in rows:
            yield f"13 {invoice.id} is not known"


# -- 14: what the report says was, or would have been, kept back -----------------------------------------------------


def what_is_kept_back_is_wrong_and_overdue(player: Player) -> Iterator[str]:
    for invoice in metered(player):
        remembered = memory(player, invoice)
        kept = remembered.kept_back if remembered else None
        if remembered is None or kept is None:
            continue
        planned = _planned(player, invoice)
        first = remembered.first
        if planned and first and first.status is InvoiceStatus.DRAFT and kept.since.timestamp() < planned:
            yield f"14 {invoice.id} is kept back since {kept.since}, planned for {planned}"
        if kept.verdict not in _BAD or kept.reason.verdict is not kept.verdict:
            yield f"14 {invoice.id} is kept back for being {kept.verdict} {kept.reason}"
        if kept.until is not None and kept.until < kept.since:
            yield f"14 {invoice.id} is kept back from {kept.since} until {kept.until}"
        if kept.until is None and remembered.verdict not in _BAD:
            yield f"14 {invoice.id} is {remembered.verdict} and still kept back"


def what_stays_or_should_have_is_counted(player: Player) -> Iterator[str]:
    for invoice in metered(player):
        remembered = memory(player, invoice)
        if remembered is None or remembered.verdict not in _BAD:
            continue
        kept, now = remembered.kept_back, player.clock.now()
        planned = _planned(player, invoice)
        overdue = planned is not None and now.timestamp() > planned
        stays = remembered.held and overdue and invoice.status.value in {"draft", "open"}
        if (stays or _would_have_stayed(player, invoice, remembered)) and (kept is None or kept.until is not None):
            yield f"14 {invoice.id} is {remembered.verdict} {remembered.reason}, and kept back is {kept}"


_BAD = (Verdict.DRIFTED, Verdict.UNPROVEN)


def _would_have_stayed(player: Player, invoice: StoredInvoice, remembered: InvoiceState) -> bool:
    """Return whether it was observed all the time: it left by itself although the finding was wrong."""
    quiet = player.observes and not any(isinstance(act, Restart) and act.settings for act in player.plan.acts)
    closed = player.app.settings.fail.value == "closed" or remembered.blocked
    first = remembered.first
    was_ours = first is not None and first.auto_advance and first.status is InvoiceStatus.DRAFT
    stops = remembered.verdict is Verdict.DRIFTED or closed
    return quiet and was_ours and stops and invoice.id not in player.touched and invoice.status.value == "paid"


AT_RELEASE: tuple[Judge, ...] = (no_right_invoice_is_held,)
JUDGES: tuple[Judge, ...] = (
    released_only_when_proven,
    only_what_we_held,
    never_before_stripes_own_time,
    stamps_are_its_own,
    the_merchants_own_is_kept,
    observing_writes_nothing,
    evidence_is_a_chain,
    a_confirmation_repeats_its_decision,
    every_write_has_its_audit_row,
    what_we_let_go_is_signed_no_more,
    stamped_evidence_exists,
    nothing_wrong_leaves_by_itself,
    what_is_stamped_is_what_we_say,
    what_left_carries_its_stamp,
    everything_is_looked_after,
    what_is_kept_back_is_wrong_and_overdue,
    what_stays_or_should_have_is_counted,
    finished_is_finished,
)


# -- 5: any delivery gives the same end -------------------------------------------------------------------------------


def end_state(player: Player) -> list[dict[str, object]]:
    """Return every invoice by subscription, as it ended, without hashes and ids that depend on the times of checks."""
    return [_ended(player, invoice) for invoice in sorted(invoices(player), key=_place(player))]


def _place(player: Player) -> Callable[[StoredInvoice], tuple[int, object]]:
    return lambda invoice: (player.subscription_ids.index(str(invoice.subscription)), invoice.created)


def _ended(player: Player, invoice: StoredInvoice) -> dict[str, object]:
    remembered = memory(player, invoice)
    volatile = ("pacspace_evidence_sha256", "pacspace_checkpoint_id", "pacspace_hold")
    metadata = {key: value for key, value in invoice.metadata.items() if not key.startswith(volatile)}
    sha = invoice.metadata.get("pacspace_evidence_sha256", "-")
    lines = (invoice.footer or "").replace(sha, "").splitlines()
    return {
        "status": invoice.status.value,
        "left": has_left(player, invoice),
        "verdict": remembered.verdict if remembered else None,
        "reason": remembered.reason if remembered else None,
        "metadata": metadata,
        "footer": [line for line in lines if "SHA-256" not in line],
    }
