"""Secrets of a request are hidden in every form in which a vendor or proxy may repeat them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.http.redaction import hidden, secrets_in
from tests.support.leaks import ECHOES, parts

SECRETS = (
    "pk_test_public.0123456789abcdef",
    'p"ss/wörd & co <%41+>',
    "correct  horse battery staple",
    "a\\b\nc\td/efghij",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_secret_is_hidden_however_it_is_repeated(echo: str, secret: str) -> None:
    said = hidden(f"before {ECHOES[echo](secret)} after", [secret])
    assert [part for part in parts(secret) if part in said] == []
    assert said.startswith("before ")
    assert said.endswith(" after")


@given(st.text(min_size=12, max_size=60), st.sampled_from(sorted(ECHOES)))
def test_no_text_is_too_odd_to_be_hidden(secret: str, echo: str) -> None:
    try:
        repeated = ECHOES[echo](secret)
    except UnicodeEncodeError:  # halves of characters travel nowhere
        return
    assert secret[:12] not in hidden(repeated, [secret])


def test_a_short_secret_is_hidden_word_for_word() -> None:
    assert hidden("code 123456 is wrong", ["123456"]) == "code … is wrong"


def test_a_text_that_only_begins_like_a_secret_stays() -> None:
    assert hidden("pk_test_ keys only", ["pk_test_public.secret"]) == "pk_test_ keys only"


def test_the_secret_half_of_a_key_is_a_secret_alone() -> None:
    key = "pk_test_public.0123456789abcdef"
    assert hidden("is 0123456789abcdef right?", secrets_in({"X-Api-Key": key})) == "is … right?"


def test_headers_carry_keys_tokens_and_cookies() -> None:
    headers = {
        "authorization": "Bearer token-of-a-session",
        "Cookie": "session=abcdefgh; theme=dark",
        "X-Api-Key": "pk_test_a.b",
        "Idempotency-Key": "not-a-secret-at-all",
    }
    assert secrets_in(headers) == ("token-of-a-session", "abcdefgh", "pk_test_a.b")


def test_nothing_is_hidden_where_nothing_is_secret() -> None:
    assert hidden("as it was", []) == hidden("as it was", [""]) == "as it was"
