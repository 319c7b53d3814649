"""The simulator's proof roots against the vectors of the contract (CONTRACT 6.3) and known Keccak answers."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pacspace_sdk.keccak import keccak256 as sdk_keccak256

from pacspace_stripe.simulator.pacspace import proof_roots
from pacspace_stripe.simulator.pacspace.ledger import Draft
from pacspace_stripe.simulator.pacspace.proof_roots import keccak256

I0 = (
    '{"customerId":"cust_12345","delta":-1000,"metadata":{"invoiceId":"inv_98765","plan":"growth"},'
    '"reason":"Monthly subscription charge","referenceId":"inv_98765"}'
)
I1 = '{"customerId":"cust_12345","delta":-42.50,"reason":"usage_charge","referenceId":"r2"}'
I2 = '{"customerId":"cust_12345","delta":5e2,"reason":"Referral bonus","referenceId":null}'


def leaf(text: str) -> bytes:
    sent = json.loads(text, parse_float=Decimal)
    draft = Draft(
        account=sent["customerId"],
        delta=Decimal(sent["delta"]),
        reason=sent["reason"],
        reference_id=sent["referenceId"],
        metadata=sent.get("metadata"),
    )
    return proof_roots.leaf(draft.item())


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_gives_known_answers(message: bytes, digest: str) -> None:
    assert keccak256(message).hex() == digest


@given(st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_keccak_agrees_with_the_sdk(message: bytes) -> None:
    assert keccak256(message) == sdk_keccak256(message)


@pytest.mark.parametrize(
    ("items", "root"),
    [
        ([], "0x" + "00" * 32),
        ([I0], "0x9528834dbc70e1e1ef9924d0bffa15ee8e25df73e7f225f70e6ff874828f07dc"),
        ([I1], "0x77e34c9e010c2dd6a609fd6733ead9fd8e8f6888a86c23d725b20dcb8a14bb9f"),
        ([I2], "0x2a91487121f654929721c1a458c3dd19c6cb067383b09f88fa22900bcfbe59fb"),
        ([I0, I1], "0x003286a938f71eb4844e33c45f0835352239eaa4b51d7991cd55ef9b2f001f2d"),
        ([I0, I1, I2], "0xa1b78882845129d94db9602699777223d7f1361b27853a347aa497bbbff7d69c"),
    ],
)
def test_roots_are_those_of_reading_b(items: list[str], root: str) -> None:
    assert proof_roots.as_hex(proof_roots.root([leaf(item) for item in items])) == root
