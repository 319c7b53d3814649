"""The commands of a correction plan as text: quoted for a shell, without secrets, and only ever run by a person.

Keys and prices stay variables of the reader's shell (``$STRIPE_API_KEY``, ``$AMOUNT``): nothing here knows them. A
command that would count twice when it is sent twice carries an idempotency key or identifier of its own.
"""

import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from pacspace_stripe.vocabulary.quantities import round_to_source, text

_STRIPE = "https://api.stripe.com/v1/"
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]*")
"""Values that need no form encoding."""
_LONGEST_IDENTIFIER = 100
"""Characters of a meter event's ``identifier`` (FACTS 4.2)."""


def meter_event(
    *, event_name: str, customer_id: str, quantity: Decimal, at: datetime, identifier: str, times: int = 1
) -> str:
    """Return a meter event of a quantity; ``times`` such events for a meter that counts events, not their values."""
    named = identifier[:_LONGEST_IDENTIFIER]
    fields = {
        "event_name": event_name,
        "payload[stripe_customer_id]": customer_id,
        "payload[value]": text(round_to_source(quantity)),
        "timestamp": str(int(at.timestamp())),
    }
    if times == 1:
        return _curl("billing/meter_events", fields | {"identifier": named})
    one = _curl("billing/meter_events", fields, f'-d identifier={shlex.quote(named[:90])}-"$n"')
    return f"for n in $(seq {times}); do {one}; done"


def cancel_meter_event(event_name: str) -> str:
    """Return the cancellation of one meter event. Stripe lists none: its sender knows the identifier."""
    fields = {"event_name": event_name, "type": "cancel"}
    return _curl("billing/meter_event_adjustments", fields, '-d cancel[identifier]="$IDENTIFIER"')


def invoice_item(
    *, customer_id: str, currency: str, description: str, less: bool, name: str, invoice_id: str | None
) -> str:
    """Return a one-off line on a draft; without ``invoice_id``, on the customer's next invoice.

    It must not name the subscription: the gate would take such a line for usage that it cannot read, and hold the
    invoice.
    """
    fields = {"customer": customer_id, "currency": currency, "description": description}
    amount = '-d amount="-$AMOUNT"' if less else '-d amount="$AMOUNT"'
    on = {"invoice": invoice_id} if invoice_id else {}
    return _curl("invoiceitems", fields | on, amount, name=name)


def credit_note(*, invoice_id: str, memo: str, paid: bool, name: str) -> str:
    """Return a credit note: it lowers the amount due; of a paid invoice, it adds to the customer's balance."""
    to_balance = ['-d credit_amount="$AMOUNT"'] if paid else []
    return _curl("credit_notes", {"invoice": invoice_id, "memo": memo}, '-d amount="$AMOUNT"', *to_balance, name=name)


def ledger_record(
    *,
    account: str,
    delta: Decimal,
    reason: str,
    reference: str,
    metadata: Mapping[str, str],
    adjusts: str | None,
) -> str:
    """Return a delta, raw and signed, for PacSpace; it needs ``$PACSPACE_API_KEY`` in the environment."""
    words = ["pacspace-stripe", "ledger", "record", account, text(round_to_source(delta))]
    words += ["--reason", reason, "--reference", reference]
    if metadata:
        words += ["--metadata", json.dumps(dict(sorted(metadata.items())))]
    if adjusts is not None:
        words += ["--adjusts-record", adjusts]
    return shlex.join(words)


def ledger_write(*, key: str, bits: Decimal, account: str, description: str) -> str:
    """Return a write of the settlement API, which adds to the record whenever it comes."""
    words = ["pacspace-stripe", "ledger", "write", key, text(bits), "--account", account]
    return shlex.join([*words, "--description", description])


def release(invoice_id: str, reason: str) -> str:
    """Return the release of an invoice as it is, by a person's decision."""
    return shlex.join(["pacspace-stripe", "release", invoice_id, "--reason", reason])


def setting(name: str, value: str) -> str:
    """Return a setting for the environment that ``serve`` starts with."""
    return f"export {name}={shlex.quote(value)}"


def _curl(path: str, fields: Mapping[str, str], *more: str, name: str | None = None) -> str:
    words = ["curl", f"{_STRIPE}{path}", '-u "$STRIPE_API_KEY:"']
    if name is not None:
        words.append(f"-H {shlex.quote(f'Idempotency-Key: {name}')}")
    for key, value in fields.items():
        option = "-d" if _PLAIN.fullmatch(value) else "--data-urlencode"
        words.append(f"{option} {shlex.quote(f'{key}={value}')}")
    return " ".join([*words, *more])
