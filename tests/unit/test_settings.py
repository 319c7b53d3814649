"""Settings: the values that are accepted, and how they are shown without any secret."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacspace_stripe.documents.rules.letterhead import Language, Letterhead, Logo, Paper
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.http.ratelimit.rules.rate import Rate
from pacspace_stripe.settings import LogFormat, describe, duration, duration_text, load_settings
from pacspace_stripe.usage.rules import ledger_account
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign
from pacspace_stripe.vocabulary.policy import Attribution, FailPolicy, FinalizePolicy, Mode, Policy
from tests.support.settings import ALERT_SECRET, CREDENTIALS, loaded


def test_credentials_are_all_that_is_needed() -> None:
    settings = loaded()
    assert settings.policy == Policy()
    assert settings.stripe_api_base_url is None
    assert settings.pacspace_api_base_url == "https://app.pacspace.io"
    assert settings.database_url.get_secret_value() == "sqlite:///pacspace-stripe.db"
    assert (settings.sweep, settings.lease) == (timedelta(minutes=5), timedelta(seconds=30))
    assert settings.warning == timedelta(days=7)
    assert settings.event_tolerance == timedelta(minutes=5)
    assert settings.log_format is LogFormat.TEXT
    assert settings.templates is settings.fonts is None
    assert settings.letterhead == Letterhead()


def test_every_setting_is_read_from_its_variable(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>")
    settings = loaded(
        STRIPE_API_BASE_URL="http://127.0.0.1:12111/",
        PACSPACE_API_BASE_URL="https://sandbox.example/pacspace/",
        PACSPACE_STRIPE_DATABASE_URL="postgres://u:p@db/x",
        PACSPACE_STRIPE_MODE="observe",
        PACSPACE_STRIPE_FAIL="open",
        PACSPACE_STRIPE_FINALIZE="fast",
        PACSPACE_STRIPE_BACKSTOP="36h",
        PACSPACE_STRIPE_SETTLE="0",
        PACSPACE_STRIPE_TOLERANCE="0.5",
        PACSPACE_STRIPE_USAGE_SIGN="positive",
        PACSPACE_STRIPE_LEDGER_ACCOUNT="{customer}:{meter}",
        PACSPACE_STRIPE_LEDGER="settlement",
        PACSPACE_STRIPE_RECORD_KEY="{customer}:{meter}:{start}",
        PACSPACE_WEBHOOK_SECRET="whsec_new,whsec_old",
        PACSPACE_STRIPE_TEMPLATES=str(tmp_path),
        PACSPACE_STRIPE_FONTS=str(tmp_path),
        PACSPACE_STRIPE_VENDOR=" Northwind\tData ",
        PACSPACE_STRIPE_LOGO=str(logo),
        PACSPACE_STRIPE_PAPER="letter",
        PACSPACE_STRIPE_LANGUAGE="fr",
        PACSPACE_STRIPE_RETRY="2s, 1m30s",
        PACSPACE_STRIPE_CADENCE="1h",
        PACSPACE_STRIPE_SWEEP="2s",
        PACSPACE_STRIPE_LEASE="3s",
        PACSPACE_STRIPE_RATE="10/40",
        PACSPACE_STRIPE_EVENT_TOLERANCE="1m",
        PACSPACE_STRIPE_ALERT_WEBHOOK_URL="https://me:pass@alerts.example/in?key=1",
        PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET=f"{ALERT_SECRET}, whsec_{'A' * 32}",
        PACSPACE_STRIPE_ALERT_SLACK_URL="https://hooks.slack.com/services/T0/B0/x",
        PACSPACE_STRIPE_CONSOLE_URL="https://billing.example/",
        PACSPACE_STRIPE_LOG_FORMAT="json",
    )
    assert settings.alert_webhook_url is not None
    assert settings.alert_webhook_url.get_secret_value() == "https://me:pass@alerts.example/in?key=1"
    assert [secret.get_secret_value() for secret in settings.alert_webhook_secrets or ()] == [
        ALERT_SECRET,
        f"whsec_{'A' * 32}",
    ]
    assert settings.alert_slack_url is not None
    assert settings.alert_slack_url.get_secret_value() == "https://hooks.slack.com/services/T0/B0/x"
    assert settings.console_url == "https://billing.example"
    assert settings.policy == Policy(
        mode=Mode.OBSERVE,
        fail=FailPolicy.OPEN,
        finalize=FinalizePolicy.FAST,
        backstop=timedelta(hours=36),
        settle=timedelta(0),
        tolerance=Decimal("0.5"),
        usage_sign=UsageSign.POSITIVE,
        ledger_account="{customer}:{meter}",
        ledger=LedgerProtocol.SETTLEMENT,
        record_key="{customer}:{meter}:{start}",
        retry=(timedelta(seconds=2), timedelta(seconds=90)),
        cadence=timedelta(hours=1),
        attribution=Attribution.ACCEPTED,
    )
    assert settings.stripe_api_base_url == "http://127.0.0.1:12111"
    assert settings.pacspace_api_base_url == "https://sandbox.example/pacspace"
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://u:p@db/x"
    assert settings.templates == settings.fonts == tmp_path.resolve()
    assert settings.letterhead == Letterhead(
        vendor="Northwind Data",
        logo=Logo(file=str(logo), media_type="image/svg+xml", content=b"<svg/>"),
        paper=Paper.LETTER,
        language=Language.FRENCH,
    )
    assert settings.request_rate == Rate(endpoint=10, total=40)
    assert (settings.sweep, settings.lease) == (timedelta(seconds=2), timedelta(seconds=3))
    assert settings.log_format is LogFormat.JSON
    assert [secret.get_secret_value() for secret in settings.pacspace_webhook_secrets or ()] == [
        "whsec_new",
        "whsec_old",
    ]


@pytest.mark.parametrize(
    ("ledger", "sign", "meant"),
    [("balance", None, "negative"), ("settlement", None, "positive"), ("settlement", "negative", "negative")],
)
def test_the_sign_of_usage_follows_the_ledger_unless_it_is_set(ledger: str, sign: str | None, meant: str) -> None:
    chosen = {"PACSPACE_STRIPE_USAGE_SIGN": sign} if sign else {}
    assert loaded(PACSPACE_STRIPE_LEDGER=ledger, **chosen).policy.usage_sign == meant


def test_settings_choose_which_deltas_count() -> None:
    policy = loaded(
        PACSPACE_STRIPE_METER_FROM=" metadata.meter ",
        PACSPACE_STRIPE_EXCLUDE_REASONS="deposit, Initial deposit",
        PACSPACE_STRIPE_ATTRIBUTION="usage_time",
        PACSPACE_STRIPE_UNITS="storage=1024, api_calls=0.5",
        PACSPACE_STRIPE_READINGS="seats, rooms:reading, a:b:reading, tokens:total,c:d:total",
    ).policy
    assert policy.readings == {"seats", "rooms", "a:b"}
    assert policy.totals == {"tokens", "c:d"}
    assert policy.meter_from == "metadata.meter"
    assert policy.exclude_reasons == {"deposit", "Initial deposit"}
    assert policy.attribution is Attribution.USAGE_TIME
    assert policy.units == {"api_calls": Decimal("0.5"), "storage": Decimal(1024)}
    assert "['Initial deposit', 'deposit']" in policy.described


def test_metadata_product_and_price_say_which_meter_an_invoice_item_bills() -> None:
    written = "price.price_1=-, metadata.meter, product.prod.a=b = tokens,amount=-"
    items = loaded(PACSPACE_STRIPE_USAGE_ITEMS=written).policy.usage_items
    assert items.metadata_keys == ("meter",)
    assert (items.products, items.prices, items.amounts) == ({"prod.a=b": "tokens"}, {"price_1": "-"}, "-")
    assert not loaded().policy.usage_items


@pytest.mark.parametrize("attribution", ["auto", "accepted"])
def test_the_settlement_ledger_accepts_choices_that_choose_nothing(attribution: str) -> None:
    settings = loaded(
        PACSPACE_STRIPE_LEDGER="settlement",
        PACSPACE_STRIPE_METER_FROM="account",
        PACSPACE_STRIPE_ATTRIBUTION=attribution,
    )
    assert settings.policy.ledger is LedgerProtocol.SETTLEMENT
    assert settings.policy.attribution is Attribution.ACCEPTED


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3:8080", "[::1]:9"])
def test_plain_http_is_for_this_machine_only(host: str) -> None:
    assert loaded(STRIPE_API_BASE_URL=f"http://{host}").stripe_api_base_url == f"http://{host}"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://localhost:9/a",
            "http://127.0.0.1",
            "http://10.1.2.3/a",
            "http://192.168.0.9:8080",
            "http://[fd00::1]/a",
        ),
        *(
            "http://alertmanager:8080/in",
            "http://receiver.monitoring.svc.cluster.local/",
            "https://anywhere.example/?k=v",
        ),
    ],
)
def test_alerts_go_over_plain_http_only_in_private_networks(url: str) -> None:
    given = loaded(PACSPACE_STRIPE_ALERT_SLACK_URL=url).alert_slack_url
    assert given is not None
    assert given.get_secret_value() == url


def test_an_alert_address_is_shown_by_its_host_only() -> None:
    settings = loaded(
        PACSPACE_STRIPE_ALERT_WEBHOOK_URL="https://me:tellnobody@alerts.example/in/tellnobody?key=tellnobody",
        PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET=ALERT_SECRET,
    )
    shown = {row.name: row.current for row in describe(settings)}
    assert shown["PACSPACE_STRIPE_ALERT_WEBHOOK_URL"] == "https://…@alerts.example/…?…"
    assert shown["PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET"] == "whsec_…"
    assert "tellnobody" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("PACSPACE_STRIPE_EXCLUDE_REASONS", "deposit,refund"),
        ("PACSPACE_STRIPE_READINGS", "seats"),
        ("PACSPACE_STRIPE_READINGS", "a:b:reading,seats,tokens:total"),
        ("PACSPACE_STRIPE_USAGE_ITEMS", "amount=-,metadata.meter,price.price_1=tokens,product.prod_1=images"),
        ("PACSPACE_STRIPE_PDF_HOSTS", "a-bucket.s3.us-west-2.amazonaws.com,files.example"),
        ("PACSPACE_STRIPE_UNITS", "api_calls=1000,storage=0.5"),
    ],
)
def test_several_values_are_shown_as_they_are_written(variable: str, written: str) -> None:
    shown = {row.name: row.current for row in describe(loaded(**{variable: written}))}
    assert shown[variable] == written


def test_two_signing_secrets_are_accepted_while_one_is_rolled() -> None:
    secrets = loaded(STRIPE_WEBHOOK_SECRET="whsec_new, whsec_old\n").stripe_webhook_secrets
    assert [secret.get_secret_value() for secret in secrets] == ["whsec_new", "whsec_old"]


def test_commands_that_need_the_database_alone_need_no_key_of_either_vendor() -> None:
    settings = load_settings({"PACSPACE_STRIPE_DATABASE_URL": "sqlite:///a.db"}, stripe=False, pacspace=False)
    assert settings.database_url.get_secret_value() == "sqlite:///a.db"
    assert settings.pacspace_api_key.get_secret_value() == settings.stripe_api_key.get_secret_value() == ""
    mixed = {"STRIPE_API_KEY": "sk_live_x", "PACSPACE_API_KEY": "pk_test_x.y"}
    assert not load_settings(mixed, stripe=False, pacspace=False).stripe_webhook_secrets


def test_commands_without_webhooks_need_no_signing_secret() -> None:
    keys = {name: value for name, value in CREDENTIALS.items() if name != "STRIPE_WEBHOOK_SECRET"}
    assert load_settings(keys, webhooks=False).stripe_webhook_secrets == ()
    with pytest.raises(ConfigurationError) as caught:
        load_settings(keys)
    assert caught.value.variable == "STRIPE_WEBHOOK_SECRET"


@pytest.mark.parametrize(
    ("stripe", "pacspace", "rate"),
    [("sk_test_a", "pk_test_a", "25/25"), ("rk_test_a", "pk_test_a", "25/25"), ("rk_live_a", "pk_live_a", "25/100")],
)
def test_the_rate_follows_the_kind_of_key(stripe: str, pacspace: str, rate: str) -> None:
    settings = loaded(STRIPE_API_KEY=stripe, PACSPACE_API_KEY=pacspace)
    assert str(settings.request_rate) == rate
    assert settings.livemode is ("live" in stripe)


PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        (b"\xef\xbb\xbf<svg/>", "image/svg+xml"),
        (PNG + b"0" * (512 * 1024 - 8), "image/png"),
    ],
)
def test_the_content_of_a_logo_decides_its_type_and_its_name_is_shown(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "logo").write_bytes(content)
    settings = loaded(PACSPACE_STRIPE_LOGO=str(tmp_path / "logo"))
    assert settings.logo is not None
    assert (settings.logo.media_type, settings.logo.content) == (kind, content)
    (row,) = [row for row in describe(settings) if row.name == "PACSPACE_STRIPE_LOGO"]
    assert row.current == str(tmp_path / "logo")


def test_no_secret_shows_in_the_settings_or_their_description() -> None:
    settings = loaded(PACSPACE_STRIPE_DATABASE_URL="postgresql://user:tellnobody@db:5432/x?password=tellnobody")
    rows = describe(settings)
    assert "tellnobody" not in f"{settings!r}{settings!s}{settings.model_dump()}{settings.model_dump_json()}{rows}"
    assert {row.name: row.current for row in rows} == {row.name: row.default or "" for row in rows} | {
        "STRIPE_API_KEY": "sk_test_…",
        "STRIPE_WEBHOOK_SECRET": "whsec_…",
        "PACSPACE_API_KEY": "pk_test_…",
        "PACSPACE_STRIPE_DATABASE_URL": "postgresql+psycopg://…@db:5432/x?…",
        "PACSPACE_STRIPE_BACKSTOP": "1d",
    }


def test_settings_can_be_described_before_they_are_right() -> None:
    assert {row.current for row in describe(None)} == {None}
    assert [row.name for row in describe(None) if row.required] == list(CREDENTIALS)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded().mode = Mode.OBSERVE


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("500ms", timedelta(milliseconds=500)),
        ("2s", timedelta(seconds=2)),
        ("90m", timedelta(minutes=90)),
        ("1m30s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        (" 24h ", timedelta(days=1)),
    ],
)
def test_durations_are_written_for_people(written: str, value: timedelta) -> None:
    assert duration(written) == value


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365)))
def test_a_written_duration_reads_back(value: timedelta) -> None:
    assert duration(duration_text(value)) == value


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    try:
        value = duration(text)
    except ValueError:
        return
    assert timedelta(0) <= value <= timedelta(days=365)


@pytest.mark.parametrize(
    ("template", "account"),
    [
        ("{customer}", "cus_1"),
        ("{customer}:{meter}", "cus_1:api_calls"),
        ("eu-{customer}", "eu-cus_1"),
        ("{customer}" + "x" * 124, None),
    ],
)
def test_a_ledger_account_is_what_pacspace_accepts(template: str, account: str | None) -> None:
    assert ledger_account(template, customer_id="cus_1", meter="api_calls", metadata={}) == account


def test_a_meter_that_pacspace_could_not_name_has_no_ledger_account() -> None:
    assert ledger_account("{customer}:{meter}", customer_id="cus_1", meter="api calls", metadata={}) is None
