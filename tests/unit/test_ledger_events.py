"""PacSpace's webhooks, held to what the vendor's SDK signs and its documents show."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacspace_sdk.errors import WebhookVerificationError
from pacspace_sdk.webhooks.verify import Webhooks

from pacspace_stripe.errors import SignatureError, UnreadableEvent
from pacspace_stripe.pacspace_api.events import LedgerEventType, ledger_event_from_pacspace
from webhooks.signatures import verify_pacspace_signature

SECRET, OTHER = "whsec_test", "whsec_other"
STAMP = "1739270400"
NOW = datetime.fromtimestamp(1739270400, UTC)
BODY = b'{"event":"delta.verified","data":{"recordId":"rec_1"}}'
SIGNATURE = "v1=8d2ab76f863c13d6d10d5f82e5a3f37e0d34eab4a80d41bebae3fb642e26e304"
"""The published vector of a signature (CONTRACT 5.1)."""
FIVE_MINUTES = timedelta(minutes=5)


def signed(body: bytes = BODY, *, secret: str = SECRET, stamp: str = STAMP) -> str:
    return "v1=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def verify(
    header: str | None,
    stamp: str | None = STAMP,
    *,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    now: datetime = NOW,
) -> None:
    verify_pacspace_signature(body, header, stamp, secrets, now=now, tolerance=FIVE_MINUTES)


def test_the_published_vector_passes() -> None:
    assert signed() == SIGNATURE
    verify(SIGNATURE)


@pytest.mark.parametrize(
    "header",
    [
        f"{signed(secret=OTHER)},{SIGNATURE}",
        f"{SIGNATURE},{signed(secret=OTHER)}",
        f"{SIGNATURE}, {signed(secret=OTHER)}",
        f"v0=abc,{SIGNATURE}",
        f"t=1,{SIGNATURE}",
    ],
)
def test_any_of_several_signatures_passes(header: str) -> None:
    verify(header)
    Webhooks(SECRET).verify(header, STAMP, BODY.decode(), tolerance=10**10)


def test_both_secrets_pass_during_a_rotation() -> None:
    both = ("whsec_next", SECRET)
    verify(SIGNATURE, secrets=both)
    verify(signed(secret="whsec_next"), secrets=both)


@pytest.mark.parametrize(
    ("header", "stamp"),
    [
        *((None, STAMP), ("", STAMP), (SIGNATURE, None), (SIGNATURE, ""), (SIGNATURE, "now")),
        *((SIGNATURE, "-1"), (SIGNATURE, f"{STAMP},{STAMP}"), (SIGNATURE, "\uff11"), (SIGNATURE, "9" * 17)),
        (SIGNATURE, f"{STAMP}000"),
        (SIGNATURE.removeprefix("v1="), STAMP),
        (SIGNATURE.upper(), STAMP),
        (SIGNATURE[:-1], STAMP),
        ("v1=" + "0" * 64, STAMP),
        (",".join(["v1=" + "0" * 64] * 17 + [SIGNATURE]), STAMP),
        (SIGNATURE + "," * 5000, STAMP),
        (signed(secret=OTHER), STAMP),
        (signed(BODY + b" "), STAMP),
    ],
)
def test_any_other_signature_is_refused_with_a_hint_about_the_right_secret(
    header: str | None, stamp: str | None
) -> None:
    with pytest.raises(SignatureError) as caught:
        verify(header, stamp)
    assert "PacSpace" in caught.value.hint
    assert "STRIPE" not in caught.value.hint
    assert SECRET not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_secret_nothing_passes(secrets: tuple[str, ...]) -> None:
    with pytest.raises(SignatureError):
        verify(signed(secret=""), secrets=secrets)


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize(("offset", "fine"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_signature_within_the_tolerance_passes_in_either_unit(unit: int, offset: int, fine: bool) -> None:  # noqa: FBT001 - a table
    stamp = str((int(STAMP) + offset) * unit)
    if fine:
        verify(signed(stamp=stamp), stamp)
        return
    with pytest.raises(SignatureError, match="301 seconds"):
        verify(signed(stamp=stamp), stamp)


@given(st.text(min_size=1), st.sampled_from([1, 1000]), st.integers(min_value=-290, max_value=290), st.booleans())
def test_a_signature_passes_exactly_when_the_sdk_accepts_it(
    text: str,
    unit: int,
    offset: int,
    right: bool,  # noqa: FBT001 - drawn
) -> None:
    now = int(time.time())
    body, stamp = json.dumps({"event": text}).encode(), str((now + offset) * unit)
    header = signed(body, secret=SECRET if right else OTHER, stamp=stamp)
    if right:
        Webhooks(SECRET).verify(header, stamp, body.decode())
        verify(header, stamp, body=body, now=datetime.fromtimestamp(now, UTC))
        return
    with pytest.raises(WebhookVerificationError):
        Webhooks(SECRET).verify(header, stamp, body.decode())
    with pytest.raises(SignatureError):
        verify(header, stamp, body=body, now=datetime.fromtimestamp(now, UTC))


FLAT = {"recordId": "rec_1", "receiptId": "0x8f", "customerId": "cus_1", "delta": -42.5, "sequenceNumber": "7"}
NESTED = {"receiptId": "0x8f", "status": "verified", "delta": {"customerId": "cus_1", "amount": -42.5}, "proof": {}}
OF_THE_SDK = {"id": "evt_sdk", "tenantId": "ten_1", "createdAt": "2026-02-11T10:30:12Z"}
OF_THE_DOCS = {"timestamp": "2026-02-11T10:30:12.456Z"}


@pytest.mark.parametrize("envelope", [OF_THE_SDK, OF_THE_DOCS], ids=["sdk", "docs"])
@pytest.mark.parametrize("data", [FLAT, NESTED, FLAT | {"delta": NESTED["delta"]}], ids=["flat", "nested", "both"])
@pytest.mark.parametrize("kind", ["delta.verified", "delta.failed", "checkpoint.verified"])
def test_both_envelopes_and_both_payloads_name_the_account(
    envelope: dict[str, object], data: dict[str, object], kind: str
) -> None:
    event = ledger_event_from_pacspace(json.dumps({"event": kind, "data": data} | envelope).encode(), "evt_header")
    assert (event.type, event.account, event.event_id) == (kind, "cus_1", "evt_header")


@pytest.mark.parametrize(
    ("data", "account"),
    [
        ({"checkpoint": {"customerId": "cus_1"}}, "cus_1"),
        ({"scope": {"customerId": "cus_1"}, "proofRoot": "0x1"}, "cus_1"),
        ({"checkpointId": "chk_1"}, None),
        ({"customerId": "no account/of anybody"}, None),
        ({"customerId": 7}, None),
        ({}, None),
    ],
)
def test_an_unpublished_payload_is_read_like_the_others(data: dict[str, object], account: str | None) -> None:
    body = json.dumps({"event": "checkpoint.verified", "data": data}).encode()
    assert ledger_event_from_pacspace(body, None).account == account


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"key": "usage-1"}, "usage-1"),
        ({"recordKey": "usage-1"}, "usage-1"),
        ({"record": {"key": "usage-1"}, "key": "usage-1"}, "usage-1"),
        ({"key": "usage-1", "recordKey": "usage-2"}, None),
        (FLAT, None),
    ],
)
def test_a_record_key_is_read_where_there_is_one(data: dict[str, object], key: str | None) -> None:
    body = json.dumps({"event": "delta.verified", "data": data}).encode()
    assert ledger_event_from_pacspace(body, None).record_key == key


def test_an_event_has_the_id_of_its_header_envelope_or_body() -> None:
    with_id, without = (json.dumps({"event": "x"} | more).encode() for more in ({"id": "evt_1"}, {}))
    assert ledger_event_from_pacspace(with_id, "evt_h").event_id == "evt_h"
    assert ledger_event_from_pacspace(with_id, None).event_id == "evt_1"
    assert ledger_event_from_pacspace(with_id, "not an id\n").event_id == "evt_1"
    assert ledger_event_from_pacspace(without, None).event_id == ledger_event_from_pacspace(without, "").event_id
    assert ledger_event_from_pacspace(without, None).event_id.startswith("sha256:")


def test_an_event_of_another_type_needs_no_data() -> None:
    for name in ("customer.created", "delta.stored", "surprise"):
        assert ledger_event_from_pacspace(json.dumps({"event": name}).encode(), None).type is LedgerEventType.OTHER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"tellnobody",
        b"[]",
        b'"tellnobody"',
        b"{}",
        b'{"event":7}',
        b'{"event":"delta.verified"}',
        b'{"event":"delta.verified","data":"tellnobody"}',
        b'{"event":"delta.verified","event":"x","data":{}}',
        b'{"event":"delta.verified","data":{"customerId":"tellnobody","delta":{"customerId":"b"}}}',
        b'{"event":"x","data":NaN}',
        b'\xff{"event":"x"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_event_is_unreadable_and_not_repeated(body: bytes) -> None:
    with pytest.raises(UnreadableEvent) as caught:
        ledger_event_from_pacspace(body, "evt_1")
    assert "tellnobody" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"


@given(st.binary())
def test_any_body_is_an_event_or_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        ledger_event_from_pacspace(body, None)
