"""Mistakes in settings: each is refused, named with what to do, and no error shows a value."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.settings import describe, load_settings
from tests.support.settings import ALERT_SECRET, CREDENTIALS, everything_shown, loaded, refused


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("METER_FROM", "reason"),
        ("EXCLUDE_REASONS", "deposit"),
        ("ATTRIBUTION", "usage_time"),
        ("UNITS", "a=2"),
        ("READINGS", "a"),
    ],
)
def test_the_settlement_ledger_refuses_choices_among_deltas(variable: str, written: str) -> None:
    name = f"PACSPACE_STRIPE_{variable}"
    assert refused(PACSPACE_STRIPE_LEDGER="settlement", **{name: written}).variable == name


def test_an_alert_webhook_without_a_secret_is_refused() -> None:
    error = refused(PACSPACE_STRIPE_ALERT_WEBHOOK_URL="https://alerts.example/in")
    assert error.variable == "PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET"
    assert "openssl" in error.hint


@pytest.mark.parametrize(
    "key", ["sk_org_live_tellnobody", "sk_org_test_tellnobody", "rk_org_live_tellnobody", " sk_org_x"]
)
def test_a_key_of_an_organization_is_refused_and_the_right_one_named(key: str) -> None:
    error = refused(STRIPE_API_KEY=key)
    assert error.variable == "STRIPE_API_KEY"
    assert "key of an organization" in str(error)
    assert "use a restricted key (rk_live_" in str(error)
    assert "tellnobody" not in str(error)


@pytest.mark.parametrize(("stripe", "pacspace"), [("sk_live_a", "pk_test_a"), ("rk_test_a", "pk_live_a")])
def test_test_and_live_keys_do_not_mix(stripe: str, pacspace: str) -> None:
    error = refused(STRIPE_API_KEY=stripe, PACSPACE_API_KEY=pacspace)
    assert error.variable == "PACSPACE_API_KEY"
    assert "same mode" in str(error)


WRONG = [
    ("PACSPACE_STRIPE_METER_FROM", ["", "tellnobody", "metadata", "metadata.", "Reason"]),
    ("PACSPACE_STRIPE_EXCLUDE_REASONS", ["", ",", "tellnobody,", "tellnobody" * 51]),
    ("PACSPACE_STRIPE_ATTRIBUTION", ["", "tellnobody"]),
    (
        "PACSPACE_STRIPE_READINGS",
        ["", ",", "tellnobody,", ",tellnobody", "a:tellnobody", ":total", "a:total,a", "a,a:reading", "a:reading:"],
    ),
    (
        "PACSPACE_STRIPE_USAGE_ITEMS",
        [
            "",
            ",",
            "tellnobody",
            "metadata",
            "metadata.",
            "metadata.a,metadata.a",
            "product.tellnobody",
            "product.=tokens",
            "price.tellnobody=",
            "price.a=b,price.a=c",
            "amount",
            "amount=tellnobody",
            "metadata.a,",
        ],
    ),
    ("PACSPACE_STRIPE_EDGE_SLACK", ["", "tellnobody", "-5m", "5"]),
    (
        "PACSPACE_STRIPE_PDF_HOSTS",
        [
            "",
            ",",
            "tellnobody",
            "*.tellnobody.example",
            "https://tellnobody.example",
            "127.0.0.1",
            "tellnobody.example:8",
            "h.example,",
        ],
    ),
    (
        "PACSPACE_STRIPE_UNITS",
        ["", "tellnobody", "=1", "tellnobody=", "a=0", "a=-1", "a=1e3", "a=1,a=2", "a=1,", "a=1/3", "a=NaN"],
    ),
    (
        "STRIPE_API_KEY",
        ["", " ", "tellnobody", "pk_test_tellnobody", "sk_prod_tellnobody", "sk_test_tell nobody", "sk_test_"],
    ),
    ("STRIPE_WEBHOOK_SECRET", ["", ",", "whsec_", "tellnobody", "whsec_a,tellnobody", "whsec_a,"]),
    ("PACSPACE_API_KEY", ["", "tellnobody", "sk_test_tellnobody", "pk_tellnobody"]),
    (
        "STRIPE_API_BASE_URL",
        [
            "",
            "tellnobody",
            "http://tellnobody.example",
            "https://u:tellnobody@h",
            "https://h?q=tellnobody",
            "https://h:x",
            "ftp://h",
        ],
    ),
    ("PACSPACE_WEBHOOK_SECRET", ["", ",", "whsec_", "tellnobody", "whsec_a,tellnobody", "whsec_a,"]),
    ("PACSPACE_API_BASE_URL", ["", "app.pacspace.io", "https://", "http://10.0.0.1", "https://[tellnobody"]),
    (
        "PACSPACE_STRIPE_DATABASE_URL",
        [
            "",
            "tellnobody",
            "mysql://u:tellnobody@h/d",
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite:///no/such/folder/x.db",
        ],
    ),
    ("PACSPACE_STRIPE_MODE", ["", "Enforce", "tellnobody"]),
    ("PACSPACE_STRIPE_FAIL", ["", "close", "tellnobody"]),
    ("PACSPACE_STRIPE_FINALIZE", ["", "tellnobody"]),
    ("PACSPACE_STRIPE_BACKSTOP", ["", "24", "0", "-1h", "1h1h", "1m1h", "1e3s", "999d", "tellnobody", "\uff11h"]),
    ("PACSPACE_STRIPE_SETTLE", ["", "10 m", "tellnobody", "nan"]),
    ("PACSPACE_STRIPE_TOLERANCE", ["", "-1", "1e3", "NaN", "Infinity", "1,5", ".5", "tellnobody"]),
    ("PACSPACE_STRIPE_LEDGER", ["", "Balance", "tellnobody"]),
    ("PACSPACE_STRIPE_USAGE_SIGN", ["", "-", "tellnobody"]),
    (
        "PACSPACE_STRIPE_LEDGER_ACCOUNT",
        ["", "tellnobody", "{meter}", "{customer}/{meter}", "{customer}{x}", "{customer" + "x" * 128],
    ),
    (
        "PACSPACE_STRIPE_RECORD_KEY",
        [
            *("", "tellnobody", "usage-{month}", "usage-{customer}", "{customer}-{meter}", "{customer}/{month}"),
            *("{customer}-{year}-{month}", "{customer}-{month", "{customer}-{month}" + "x" * 128),
        ],
    ),
    ("PACSPACE_STRIPE_TEMPLATES", ["", "/no/such/folder/tellnobody"]),
    ("PACSPACE_STRIPE_FONTS", ["", "/no/such/folder/tellnobody"]),
    ("PACSPACE_STRIPE_VENDOR", ["", "tellnobody" * 21]),
    ("PACSPACE_STRIPE_LOGO", ["", "/no/such/file/tellnobody", "/dev", __file__]),
    ("PACSPACE_STRIPE_PAPER", ["", "A4", "a5", "tellnobody"]),
    ("PACSPACE_STRIPE_LANGUAGE", ["", "EN", "it", "tellnobody"]),
    ("PACSPACE_STRIPE_RETRY", ["", ",", "1m,", "0", "1m,0", "tellnobody"]),
    ("PACSPACE_STRIPE_CADENCE", ["", "0", "tellnobody"]),
    ("PACSPACE_STRIPE_WARNING", ["", "7", "-1d", "tellnobody"]),
    ("PACSPACE_STRIPE_SWEEP", ["", "0", "500ms", "tellnobody"]),
    ("PACSPACE_STRIPE_LEASE", ["", "0", "tellnobody"]),
    ("PACSPACE_STRIPE_RATE", ["", "25", "0/10", "30/25", "25/100/5", "a/b", "-1/5", "tellnobody"]),
    ("PACSPACE_STRIPE_EVENT_TOLERANCE", ["", "0", "tellnobody"]),
    (
        "PACSPACE_STRIPE_ALERT_WEBHOOK_URL",
        [
            *("", "tellnobody", "ftp://tellnobody.local", "https://", "https://h:tellnobody", "https://h/a tellnobody"),
            *("http://tellnobody.example/a", "http://8.8.8.8/tellnobody", "https://h/a#tellnobody"),
        ],
    ),
    (
        "PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET",
        [
            *("", ",", "whsec_", "tellnobody", "whsec_tellnobody", f"{ALERT_SECRET},", f"{ALERT_SECRET},tellnobody"),
            *(
                "whsec_dG9vIHNob3J0",
                "whsec_" + "A" * 88,
                ALERT_SECRET.replace("whsec_", "whsk__"),
                ALERT_SECRET + "\u00fc",
            ),
        ],
    ),
    ("PACSPACE_STRIPE_ALERT_SLACK_URL", ["", "tellnobody", "http://hooks.slack.com/services/T0/B0/tellnobody"]),
    ("PACSPACE_STRIPE_CONSOLE_URL", ["", "tellnobody", "http://tellnobody.example", "https://u:tellnobody@h"]),
    ("PACSPACE_STRIPE_LOG_FORMAT", ["", "xml", "tellnobody"]),
]


PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must be a PNG, JPEG or SVG file"),
        (b"GIF89a", "must be a PNG, JPEG or SVG file"),
        (b"<svg/>\0", "must be a PNG, JPEG or SVG file"),
        (b"<svg/>\xff", "must be a PNG, JPEG or SVG file"),
        (PNG + b"0" * (512 * 1024 - 7), "must be no larger than 512 KB"),
    ],
)
def test_a_file_that_is_no_logo_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "logo.png").write_bytes(content)
    assert str(refused(PACSPACE_STRIPE_LOGO=str(tmp_path / "logo.png"))) == f"PACSPACE_STRIPE_LOGO: {problem}"


def test_every_variable_has_its_wrong_values() -> None:
    assert [variable for variable, _ in WRONG if variable not in {row.name for row in describe(None)}] == []
    assert {row.name for row in describe(None)} == {variable for variable, _ in WRONG}


@pytest.mark.parametrize(("variable", "wrong"), [(name, value) for name, values in WRONG for value in values])
def test_a_wrong_value_names_its_variable_and_never_itself(variable: str, wrong: str) -> None:
    error = refused(**{variable: wrong})
    assert error.variable == variable
    assert str(error).startswith(f"{variable}: ")
    assert error.hint
    assert not [shown for shown in everything_shown(error) if "tellnobody" in shown]


@pytest.mark.parametrize("variable", sorted(CREDENTIALS))
def test_a_missing_credential_says_where_to_find_it(variable: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value for name, value in CREDENTIALS.items() if name != variable})
    assert str(caught.value) == f"{variable}: is not set"
    assert "dashboard" in caught.value.hint


def test_all_mistakes_are_named_at_once() -> None:
    error = refused(STRIPE_API_KEY="tellnobody", PACSPACE_STRIPE_FAIL="tellnobody", PACSPACE_STRIPE_MOOD="tellnobody")
    named = [line.split(":")[0] for line in str(error).splitlines()]
    assert named == ["STRIPE_API_KEY", "PACSPACE_STRIPE_FAIL", "PACSPACE_STRIPE_MOOD"]
    assert error.variable == "STRIPE_API_KEY"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("PACSPACE_STRIPE_MODUS", "PACSPACE_STRIPE_MODE"),
        ("PACSPACE_STRIPE_TOLERANCES", "PACSPACE_STRIPE_TOLERANCE"),
        ("pacspace_stripe_mode", "PACSPACE_STRIPE_MODE"),
    ],
)
def test_a_typo_in_a_name_is_refused_with_the_likely_name(typo: str, meant: str) -> None:
    error = refused(**{typo: "observe"})
    assert error.variable == typo
    assert f"did you mean {meant}?" in str(error)


@pytest.mark.parametrize(
    "injected",
    [
        "PACSPACE_STRIPE_SERVICE_HOST",
        "PACSPACE_STRIPE_SERVICE_PORT",
        "PACSPACE_STRIPE_SERVICE_PORT_HTTP",
        "PACSPACE_STRIPE_PORT",
        "PACSPACE_STRIPE_PORT_8000_TCP",
        "PACSPACE_STRIPE_PORT_8000_TCP_ADDR",
        "PACSPACE_STRIPE_DB_SERVICE_HOST",
    ],
)
def test_a_variable_that_kubernetes_sets_is_no_typo(injected: str) -> None:
    assert loaded(**{injected: "tcp://10.0.0.1:8000"}) == loaded()


def test_variables_without_our_prefix_are_ignored() -> None:
    assert loaded(STRIPE_PUBLISHABLE_KEY="pk_live_x", PATH="/bin", PACSPACE_TENANT="x") == loaded()


@given(st.dictionaries(st.sampled_from([row.name for row in describe(None)]), st.text(max_size=30)))
def test_any_environment_gives_settings_or_one_kind_of_error(environ: dict[str, str]) -> None:
    with contextlib.suppress(ConfigurationError):
        load_settings(environ)
