"""Webhook signatures, held to the ones that Stripe's own package makes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from pacspace_stripe.errors import SignatureError
from webhooks.signatures import verify_stripe_signature

BODY = '{"id":"evt_1","text":"ünïcödé"}'
SECRET = "whsec_current"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)


def signed(body: str = BODY, secret: str = SECRET, at: datetime = NOW) -> str:
    return str(WebhookSignature.generate_signature_header(body, secret, int(at.timestamp())))


def signature(secret: str = SECRET) -> str:
    return signed(secret=secret).partition("v1=")[2]


def verify(header: str | None, *, body: str = BODY, secrets: tuple[str, ...] = (SECRET,)) -> None:
    verify_stripe_signature(body.encode(), header, secrets, NOW, FIVE_MINUTES)


STAMP = f"t={int(NOW.timestamp())}"


@pytest.mark.parametrize(
    "header",
    [
        signed(),
        f"{STAMP},v1={signature()},v0=6ffbb59b",
        f"{STAMP},v1={'0' * 64},v1={signature()}",
        f"{STAMP}, v1={signature()}",
        f"v1={signature()},{STAMP}",
        f"{STAMP},v1=,v1=zz,v1={signature()}",
    ],
)
def test_a_webhook_that_stripe_signed_passes(header: str) -> None:
    verify(header)


def test_while_a_secret_is_rolled_both_pass() -> None:
    both = ("whsec_next", SECRET)
    verify(signed(), secrets=both)
    verify(signed(secret="whsec_next"), secrets=both)
    verify(f"{STAMP},v1={signature('whsec_other')},v1={signature('whsec_next')}", secrets=both)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"v1={signature()}",
        STAMP,
        f"{STAMP},v0={signature()}",
        f"{STAMP},v1={'0' * 64}",
        f"{STAMP},v1={signature().upper()}",
        f"{STAMP},v1={signature()[:-1]}",
        f"{STAMP},v1=ü{signature()[1:]}",
        f"{STAMP},{STAMP},v1={signature()}",
        f"t=1,{STAMP},v1={signature()}",
        f"t=,v1={signature()}",
        f"t=-1,v1={signature()}",
        f"t=1e9,v1={signature()}",
        f"t=\uff11\uff17,v1={signature()}",
        f"t={'9' * 5000},v1={signature()}",
        f"{STAMP}" + f",v1={'0' * 64}" * 17 + f",v1={signature()}",
        f"{STAMP},v1={signature()}" + "," * 5000,
        signed(secret="whsec_other"),
        signed(body=BODY + " "),
        signed(body=BODY.replace("1", "2")),
    ],
)
def test_a_malformed_header_is_refused_with_a_hint(header: str | None) -> None:
    with pytest.raises(SignatureError) as caught:
        verify(header)
    assert caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_secret_nothing_passes(secrets: tuple[str, ...]) -> None:
    with pytest.raises(SignatureError):
        verify(signed(secret=""), secrets=secrets)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_clock_that_is_a_little_off_passes(seconds: int) -> None:
    verify(signed(at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(("seconds", "said"), [(-301, "301 seconds ago"), (301, "301 seconds in the future")])
def test_too_old_and_too_new_are_refused(seconds: int, said: str) -> None:
    with pytest.raises(SignatureError, match=said):
        verify(signed(at=NOW + timedelta(seconds=seconds)))


def test_only_a_genuine_time_is_named_in_the_error() -> None:
    with pytest.raises(SignatureError, match="no configured secret"):
        verify(signed(secret="whsec_other", at=NOW - timedelta(days=1)))


@given(st.text(), st.text(min_size=1, max_size=50))
def test_whatever_stripes_package_signs_passes(body: str, secret: str) -> None:
    verify(signed(body=body, secret=secret), body=body, secrets=("whsec_other", secret))


@given(st.one_of(st.none(), st.text(), st.from_regex(r"t=[0-9]*(,v1=[0-9a-f]{0,64}){0,3}")))
def test_no_made_up_header_passes_or_breaks(header: str | None) -> None:
    with pytest.raises(SignatureError):
        verify(header)


@given(st.binary(max_size=200), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_noticed(body: bytes, position: int, change: int) -> None:
    header = WebhookSignature.generate_signature_header(text := body.hex(), SECRET, int(NOW.timestamp()))
    changed = bytearray(text.encode() or b"0")
    changed[position % len(changed)] ^= change
    with pytest.raises(SignatureError):
        verify_stripe_signature(bytes(changed), header, (SECRET,), NOW, FIVE_MINUTES)
