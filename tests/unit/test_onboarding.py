"""The decisions of ``onboard``: the way to a login, and the lines of an environment file that change."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.cli.onboard.account_flow import Way, approval_token, way_in
from pacspace_stripe.cli.onboard.env_file import Progress, values_of, with_progress, with_values
from pacspace_stripe.cli.onboard.prompts import public_half
from pacspace_stripe.settings import env_example

JANE = Progress(dashboard="https://app.pacspace.io", email="jane@example.com")
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).filter(lambda text: "'" not in text)
LINES = st.one_of(
    st.just(""),
    st.builds("# {}".format, st.text(st.characters(exclude_characters="\n\r"), max_size=12)),
    st.builds("{}={}".format, NAMES, VALUES),
    st.builds("export {}='{}'".format, NAMES, VALUES),
    st.text(st.characters(exclude_characters="\n\r"), max_size=12),
)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINES, max_size=8), st.sampled_from(["", "\n"]))


@pytest.mark.parametrize(
    ("known", "way"),
    [
        ({}, Way.REQUEST),
        ({"account"}, Way.LOG_IN),
        ({"token"}, Way.REGISTER),
        ({"token", "account"}, Way.REGISTER),
        ({"requested"}, Way.WAIT),
        ({"requested", "account"}, Way.LOG_IN),
        ({"requested", "token"}, Way.REGISTER),
        ({"requested", "registered"}, Way.LOG_IN),
        ({"requested", "registered", "token"}, Way.LOG_IN),
    ],
)
def test_the_way_in_follows_from_what_is_known(known: set[str], way: Way) -> None:
    facts = {name: name in known for name in ("requested", "registered", "token", "account")}
    assert way_in(request_access=False, **facts) is way


def test_access_is_requested_whenever_a_person_asks_for_it() -> None:
    for requested, registered, token, account in product([False, True], repeat=4):
        facts = {"requested": requested, "registered": registered, "token": token, "account": account}
        assert way_in(request_access=True, **facts) is Way.REQUEST


@pytest.mark.parametrize(
    ("pasted", "token"),
    [
        ("approve_1", "approve_1"),
        ("  approve_1\n", "approve_1"),
        ("https://app.pacspace.io/register?email=a%40b&approvalToken=approve_1", "approve_1"),
        ("https://app.pacspace.io/register?token=a%2Bb", "a+b"),
        ("https://app.pacspace.io/register", "https://app.pacspace.io/register"),
        ("http://[", "http://["),
    ],
)
def test_a_token_is_taken_out_of_a_pasted_link(pasted: str, token: str) -> None:
    assert approval_token(pasted) == token


@pytest.mark.parametrize(
    ("key", "shown"),
    [("pk_test_abc.topsecret", "pk_test_abc.…"), ("pk_live_topsecret", "pk_live_…"), ("top.secret", "…")],
)
def test_only_the_public_half_of_a_key_is_visible(key: str, shown: str) -> None:
    assert public_half(key) == shown


# -- the environment file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A='1 2'  # both\n", {"A": "1 2"}),
        ('A="x#y"\n', {"A": "x#y"}),
        ("A=1 # one\n", {"A": "1"}),
        ("A=\n", {"A": ""}),
        ("# A=1\n", {}),
        ("A=1\nA=2", {"A": "2"}),
        ("A = 1\nnonsense\n", {}),
        ("A='one\nB=inside\nthree'\nC=2\n", {"A": "one\nB=inside\nthree", "C": "2"}),
        ('A="one\\"\nB=inside # no comment\n"  # a comment\nC=2\n', {"A": 'one"\nB=inside # no comment\n', "C": "2"}),
        ("A='it'\"'\"'s'\n", {"A": "it's"}),
        ('A="never closed\nB=2\n', {"A": "never closed", "B": "2"}),
        ("A=it's\nB=don't\n", {"A": "it's", "B": "don't"}),
        ("# A='\nB=2\n", {"B": "2"}),
    ],
)
def test_values_are_read_as_a_shell_would(text: str, values: dict[str, str]) -> None:
    assert values_of(text) == values


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("A=\nB=2\n", "A=new\nB=2\n"),
        ("A=\r\nB=2\r\n", "A=new\r\nB=2\r\n"),
        ("export A=old\n", "export A=new\n"),
        ("A=1\nA=2\n", "A=1\nA=new\n"),
        ("# A=default\n# B=\n", "# A=default\nA=new\n# B=\n"),
        ("B=2", "B=2\n# A\nA=new\n"),
        ("", "# A\nA=new\n"),
        ("B='one\nA=inside\n'\nC=3\n", "B='one\nA=inside\n'\nC=3\n# A\nA=new\n"),
        ("B='one\n# A=\n'\n", "B='one\n# A=\n'\n# A\nA=new\n"),
        ("A='one\nB=inside\n'\r\nC=3\n", "A=new\r\nC=3\n"),
        ('B="-----BEGIN KEY-----\nabc=\n-----END KEY-----"\nA=\n', None),
    ],
)
def test_a_value_is_set_where_it_belongs(text: str, changed: str | None) -> None:
    assert with_values(text, {"A": "new"}) == (changed or text.replace("A=\n", "A=new\n"))


def test_a_note_inside_a_value_is_part_of_the_value() -> None:
    text = f"MINE='\n{JANE.line()}\n'\n"
    assert with_progress(text, JANE) == f"{text}{JANE.line()}\n"


def test_a_variable_that_the_file_does_not_name_is_added_with_its_meaning() -> None:
    written = with_values("MINE=1\n", {"STRIPE_API_KEY": ""})
    assert written.splitlines()[0] == "MINE=1"
    assert written.splitlines()[1].startswith("# Stripe secret or restricted key")
    assert written.splitlines()[2] == "STRIPE_API_KEY="


def test_a_value_that_a_shell_would_run_is_quoted() -> None:
    assert with_values("A=\n", {"A": "pk_test_$(rm).`x`;y"}) == "A='pk_test_$(rm).`x`;y'\n"


@given(TEXTS, NAMES, VALUES)
def test_a_value_is_read_back_and_nothing_else_is_touched(text: str, name: str, value: str) -> None:
    written = with_values(text, {name: value})
    assert values_of(written) == values_of(text) | {name: value}
    kept = [
        line for line in text.split("\n") if not line.lstrip().removeprefix("export").lstrip().startswith(f"{name}=")
    ]
    there = iter(written.split("\n"))
    assert all(line in there for line in kept if line)


@given(TEXTS, st.text(max_size=10), st.booleans())
def test_progress_is_read_back_and_noted_once(text: str, name: str, registered: bool) -> None:  # noqa: FBT001  # drawn
    progress = Progress(dashboard=JANE.dashboard, email=JANE.email, name=name, registered=registered)
    once = with_progress(with_progress(text, JANE), progress)
    assert with_progress(once, progress) == once
    noted = [Progress.read(line.rstrip("\r")) for line in once.split("\n")]
    assert [each for each in noted if each] == [progress]
    assert values_of(once) == values_of(text)


@pytest.mark.parametrize(
    "line",
    [
        "A=1",
        "# pacspace-stripe onboard: ",
        "# pacspace-stripe onboard: []",
        '# pacspace-stripe onboard: {"email": "a@b"}',
        '# pacspace-stripe onboard: {"email": 1, "dashboard": "https://a"}',
        '# pacspace-stripe onboard: {"email": "a@b", "dashboard": "https://a", "password": "x"}',
        "# pacspace-stripe onboard: " + "[" * 100_000,
    ],
)
def test_a_note_that_was_changed_is_ignored(line: str) -> None:
    assert Progress.read(line) is None


def test_the_example_takes_all_that_onboard_fills_in() -> None:
    names = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "PACSPACE_API_KEY", "PACSPACE_API_BASE_URL")
    written = with_values(env_example(), dict.fromkeys(names, "x"))
    assert values_of(written) == dict.fromkeys(names, "x")
    assert len(written.splitlines()) == len(env_example().splitlines()) + 1
