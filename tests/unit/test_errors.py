"""Errors as text: a message and what to do next."""

import pytest

from pacspace_stripe.errors import PacspaceStripeError


@pytest.mark.parametrize(
    ("message", "hint", "said"),
    [
        ("Invalid API key", "Set another one.", "Invalid API key. Set another one."),
        ("It is down.", "Try again.", "It is down. Try again."),
        ("It is down", "", "It is down"),
    ],
)
def test_message_and_hint_are_sentences_of_one_text(message: str, hint: str, said: str) -> None:
    assert PacspaceStripeError(message, hint=hint).with_hint == said
