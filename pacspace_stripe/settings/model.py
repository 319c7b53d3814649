"""Every setting, declared once: its variable, its default as a person writes it, its parser and its meaning."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pacspace_stripe.documents.rules.letterhead import Language, Letterhead, Logo, Paper
from pacspace_stripe.http.ratelimit.rules.rate import STRIPE_LIVE, STRIPE_TEST, Rate
from pacspace_stripe.settings import parsers
from pacspace_stripe.vocabulary.ledger import LedgerProtocol, UsageSign
from pacspace_stripe.vocabulary.policy import Attribution, FailPolicy, FinalizePolicy, Mode, Policy, UsageItems

_SECOND = timedelta(seconds=1)


def setting(variable: str, meaning: str, *, default: str | None = None, hint: str | None = None) -> Any:  # noqa: ANN401  # like pydantic's Field
    """Declare a setting with a default as a person writes it; None for one that is unset by default."""
    return Field(default=default, alias=variable, description=meaning, json_schema_extra={"hint": hint})


def credential(variable: str, meaning: str, *, hint: str) -> Any:  # noqa: ANN401  # like pydantic's Field
    """Declare a required secret, with a hint that says where to find it."""
    return Field(alias=variable, description=meaning, json_schema_extra={"hint": hint})


def parsed_by(parser: Callable[[str], object]) -> BeforeValidator:
    """Return a validator that refuses empty texts and parses others; ``parser`` raises ValueError."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not value.strip():
            message = "is set, but empty"
            raise ValueError(message)
        return parser(value)

    return BeforeValidator(check)


class LogFormat(StrEnum):
    """The values of ``PACSPACE_STRIPE_LOG_FORMAT``."""

    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    """All settings of the product, from the environment only. Built once, by ``load_settings``."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        case_sensitive=True,
        enable_decoding=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # the signature of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the environment that ``load_settings`` was given: no ``.env``, no secrets folder."""
        return (init_settings,)

    stripe_api_key: Annotated[SecretStr, parsed_by(parsers.stripe_key)] = credential(
        "STRIPE_API_KEY",
        "Stripe secret or restricted key (`sk_…` or `rk_…`), test or live.",
        hint="Stripe dashboard, Developers, API keys; webhooks/README.md lists the permissions that it needs.",
    )
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], parsed_by(parsers.webhook_secrets)] = credential(
        "STRIPE_WEBHOOK_SECRET",
        "Signing secret of the webhook endpoint (`whsec_…`); several, with commas, while one is rolled.",
        hint="Stripe dashboard, Developers, Webhooks, your endpoint, Signing secret.",
    )
    stripe_api_base_url: Annotated[str | None, parsed_by(parsers.address)] = setting(
        "STRIPE_API_BASE_URL", "Where Stripe's API is, if not at Stripe: a proxy, or the simulator."
    )
    pacspace_api_key: Annotated[SecretStr, parsed_by(parsers.pacspace_key)] = credential(
        "PACSPACE_API_KEY",
        "PacSpace API key (`pk_…`), of the same mode as Stripe's key.",
        hint="`pacspace-stripe onboard` gets one, or PacSpace's dashboard; of the mode that Stripe's key has.",
    )
    pacspace_webhook_secrets: Annotated[tuple[SecretStr, ...] | None, parsed_by(parsers.webhook_secrets)] = setting(
        "PACSPACE_WEBHOOK_SECRET",
        "Signing secret of PacSpace's webhook (`whsec_…`), or several; unset: `/webhooks/pacspace` answers 404.",
        hint="PacSpace shows it once, when the webhook is created; rotating gives a new one.",
    )
    pacspace_api_base_url: Annotated[str, parsed_by(parsers.address)] = setting(
        "PACSPACE_API_BASE_URL",
        "Where PacSpace's API is; for `pk_test_` keys the Sandbox URL in PacSpace's dashboard, if it shows one.",
        default="https://app.pacspace.io",
    )
    database_url: Annotated[SecretStr, parsed_by(parsers.database_url)] = setting(
        "PACSPACE_STRIPE_DATABASE_URL",
        "Where the queue and every invoice's state are kept: a SQLite file, or `postgresql://…` for several machines.",
        default="sqlite:///pacspace-stripe.db",
    )
    mode: Annotated[Mode, parsed_by(parsers.one_of(Mode))] = setting(
        "PACSPACE_STRIPE_MODE",
        "`enforce`: hold, stamp and release invoices; `observe`: reach the same verdicts and write nothing anywhere.",
        default="enforce",
    )
    fail: Annotated[FailPolicy, parsed_by(parsers.one_of(FailPolicy))] = setting(
        "PACSPACE_STRIPE_FAIL",
        "`closed`: an unproven invoice stays held; `open`: it goes out at the backstop, marked unproven.",
        default="closed",
    )
    finalize: Annotated[FinalizePolicy, parsed_by(parsers.one_of(FinalizePolicy))] = setting(
        "PACSPACE_STRIPE_FINALIZE",
        "`strict`: finalize, read all lines again, then release; `fast`: release with the stamp, confirm afterwards.",
        default="strict",
    )
    backstop: Annotated[timedelta, parsed_by(parsers.duration_of(at_least=_SECOND))] = setting(
        "PACSPACE_STRIPE_BACKSTOP",
        "With `open`, how long after its creation an invoice may wait for its proof.",
        default="24h",
    )
    settle: Annotated[timedelta, parsed_by(parsers.duration)] = setting(
        "PACSPACE_STRIPE_SETTLE",
        "How long late usage may take to arrive before a difference counts.",
        default="10m",
    )
    tolerance: Annotated[Decimal, parsed_by(parsers.decimal)] = setting(
        "PACSPACE_STRIPE_TOLERANCE",
        "How far billed and recorded usage may differ, per window, in the meter's unit.",
        default="0",
    )
    ledger: Annotated[LedgerProtocol, parsed_by(parsers.one_of(LedgerProtocol))] = setting(
        "PACSPACE_STRIPE_LEDGER",
        "How usage is recorded in PacSpace: `balance` (deltas) or `settlement` (the older writes to records).",
        default="balance",
    )
    usage_sign: Annotated[UsageSign | None, parsed_by(parsers.one_of(UsageSign))] = setting(
        "PACSPACE_STRIPE_USAGE_SIGN",
        "The sign that usage has in the ledger: `negative` or `positive`; unset: negative, but positive in settlement.",
    )
    ledger_account: Annotated[str, parsed_by(parsers.account_template)] = setting(
        "PACSPACE_STRIPE_LEDGER_ACCOUNT",
        "The PacSpace customerId of a Stripe customer, made of `{customer}` and, if wanted, `{meter}`.",
        default="{customer}",
    )
    meter_from: Annotated[str, parsed_by(parsers.meter_from)] = setting(
        "PACSPACE_STRIPE_METER_FROM",
        "Names a delta's meter: `account` (one meter each), its `reason`, or its `metadata.KEY`.",
        default="account",
    )
    exclude_reasons: Annotated[frozenset[str] | None, parsed_by(parsers.reasons)] = setting(
        "PACSPACE_STRIPE_EXCLUDE_REASONS",
        "Reasons of deltas that are no usage, such as deposits, separated by commas; unset: every delta is usage.",
    )
    attribution: Annotated[Attribution, parsed_by(parsers.one_of(Attribution))] = setting(
        "PACSPACE_STRIPE_ATTRIBUTION",
        "Places a delta: `auto` (the time it summarizes, else acceptance), `accepted` or `usage_time` (any it names).",
        default="auto",
    )
    edge_slack: Annotated[timedelta, parsed_by(parsers.duration)] = setting(
        "PACSPACE_STRIPE_EDGE_SLACK",
        "How far from a period's edge the two sides may place the same usage differently: a drift then says so.",
        default="5m",
    )
    units: Annotated[Mapping[str, Decimal] | None, parsed_by(parsers.units)] = setting(
        "PACSPACE_STRIPE_UNITS",
        "By meter, how many of the ledger's units are one of Stripe's, such as `api_calls=1000,storage=1024`.",
    )
    readings: Annotated[frozenset[str] | None, parsed_by(parsers.readings)] = setting(
        "PACSPACE_STRIPE_READINGS",
        "Meters of which Stripe bills the `last` value, separated by commas: every delta is a reading; "
        "with `METER:total`, the deltas add up to it.",
    )
    usage_items: Annotated[UsageItems | None, parsed_by(parsers.usage_items)] = setting(
        "PACSPACE_STRIPE_USAGE_ITEMS",
        "Which invoice items bill usage that another system (Metronome) counted, and of which meter: `metadata.KEY`, "
        "`product.ID=METER`, `price.ID=METER`, with `-` for no usage; `amount=-`: plain amounts are none.",
    )
    record_key: Annotated[str, parsed_by(parsers.record_key_template)] = setting(
        "PACSPACE_STRIPE_RECORD_KEY",
        "With `settlement`, the record of a window: `{customer}`, `{meter}`, its first `{month}`, `{start}`, `{end}`.",
        default="usage-{customer}-{month}",
    )
    templates: Annotated[Path | None, parsed_by(parsers.folder)] = setting(
        "PACSPACE_STRIPE_TEMPLATES", "A folder whose templates replace the built-in ones of the same name."
    )
    fonts: Annotated[Path | None, parsed_by(parsers.folder)] = setting(
        "PACSPACE_STRIPE_FONTS", "A folder of fonts for the names that the built-in ones cannot print, such as CJK."
    )
    vendor: Annotated[str | None, parsed_by(parsers.vendor_name)] = setting(
        "PACSPACE_STRIPE_VENDOR", "Your name at the head of the usage statement."
    )
    logo: Annotated[Logo | None, parsed_by(parsers.logo)] = setting(
        "PACSPACE_STRIPE_LOGO", "Your logo at the head of the usage statement: a PNG, JPEG or SVG file, 512 KB at most."
    )
    paper: Annotated[Paper, parsed_by(parsers.one_of(Paper))] = setting(
        "PACSPACE_STRIPE_PAPER", "The usage statement's paper: `a4` or `letter`.", default="a4"
    )
    language: Annotated[Language, parsed_by(parsers.one_of(Language))] = setting(
        "PACSPACE_STRIPE_LANGUAGE", "The usage statement's language: `en`, `de`, `fr` or `es`.", default="en"
    )
    pdf_hosts: Annotated[frozenset[str] | None, parsed_by(parsers.hosts)] = setting(
        "PACSPACE_STRIPE_PDF_HOSTS",
        "Further hosts that Stripe's PDF links may lead to, separated by commas; unset: Stripe's own domains only.",
    )
    retry: Annotated[tuple[timedelta, ...], parsed_by(parsers.durations)] = setting(
        "PACSPACE_STRIPE_RETRY",
        "Waits between checks of an unproven invoice; the last one repeats.",
        default="1m,5m,15m,1h",
    )
    cadence: Annotated[timedelta, parsed_by(parsers.duration_of(at_least=_SECOND))] = setting(
        "PACSPACE_STRIPE_CADENCE",
        "How often the ledger gets its records; the early warning compares up to the last full one, in UTC.",
        default="1d",
    )
    warning: Annotated[timedelta, parsed_by(parsers.duration)] = setting(
        "PACSPACE_STRIPE_WARNING",
        "How long before a period ends the early warning begins where Stripe sends no `invoice.upcoming`.",
        default="7d",
    )
    sweep: Annotated[timedelta, parsed_by(parsers.duration_of(at_least=_SECOND))] = setting(
        "PACSPACE_STRIPE_SWEEP",
        "How often Stripe is asked for invoices that no webhook reported.",
        default="5m",
    )
    lease: Annotated[timedelta, parsed_by(parsers.duration_of(at_least=_SECOND))] = setting(
        "PACSPACE_STRIPE_LEASE",
        "How long a process's lease on an invoice lasts without renewal.",
        default="30s",
    )
    rate: Annotated[Rate | None, parsed_by(parsers.rate)] = setting(
        "PACSPACE_STRIPE_RATE",
        "Requests a second to Stripe, `<per endpoint>/<in all>`; unset: Stripe's limits, 25/100 live and 25/25 test.",
    )
    event_tolerance: Annotated[timedelta, parsed_by(parsers.duration_of(at_least=_SECOND))] = setting(
        "PACSPACE_STRIPE_EVENT_TOLERANCE",
        "How far a webhook's signing time may be from our clock, either way.",
        default="5m",
    )
    alert_webhook_url: Annotated[SecretStr | None, parsed_by(parsers.receiver)] = setting(
        "PACSPACE_STRIPE_ALERT_WEBHOOK_URL",
        "Where alerts are posted as JSON, signed as Standard Webhooks are; unset: nowhere.",
        hint="`pacspace-stripe alerts --test` tries it.",
    )
    alert_webhook_secrets: Annotated[tuple[SecretStr, ...] | None, parsed_by(parsers.alert_secrets)] = setting(
        "PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET",
        "The secret that signs alerts (`whsec_` and base64); two, with a comma, while one is rolled.",
        hint="Make one: `echo whsec_$(openssl rand -base64 32)`; the receiver needs the same.",
    )
    alert_slack_url: Annotated[SecretStr | None, parsed_by(parsers.receiver)] = setting(
        "PACSPACE_STRIPE_ALERT_SLACK_URL",
        "An incoming webhook of Slack, or of a compatible service, that gets every alert; unset: none.",
        hint="Slack: your app, Incoming Webhooks. `pacspace-stripe alerts --test` tries it.",
    )
    console_url: Annotated[str | None, parsed_by(parsers.address)] = setting(
        "PACSPACE_STRIPE_CONSOLE_URL",
        "The address that alerts link to, with `/invoices/<id>` added; unset: Stripe's dashboard.",
    )
    log_format: Annotated[LogFormat, parsed_by(parsers.one_of(LogFormat))] = setting(
        "PACSPACE_STRIPE_LOG_FORMAT",
        "`text` for people, `json` for machines.",
        default="text",
    )

    @property
    def livemode(self) -> bool:
        """Return whether the keys are live; both are of one mode."""
        return is_live(self.stripe_api_key.get_secret_value())

    @property
    def request_rate(self) -> Rate:
        """Return the configured request rate, else Stripe's limits for this kind of key."""
        return self.rate or (STRIPE_LIVE if self.livemode else STRIPE_TEST)

    @property
    def letterhead(self) -> Letterhead:
        """Return the vendor's name and logo on documents, and their paper and language."""
        return Letterhead(vendor=self.vendor, logo=self.logo, paper=self.paper, language=self.language)

    @property
    def policy(self) -> Policy:
        """Return the policy that checks follow."""
        readings = self.readings or frozenset[str]()
        totals = frozenset(each for each in readings if each.endswith(parsers.TOTAL))
        return Policy(
            mode=self.mode,
            fail=self.fail,
            finalize=self.finalize,
            backstop=self.backstop,
            settle=self.settle,
            tolerance=self.tolerance,
            usage_sign=self.usage_sign or self.ledger.usual_sign,
            ledger_account=self.ledger_account,
            ledger=self.ledger,
            record_key=self.record_key,
            retry=self.retry,
            cadence=self.cadence,
            meter_from=self.meter_from,
            exclude_reasons=self.exclude_reasons or frozenset(),
            attribution=self.attribution if self.ledger is LedgerProtocol.BALANCE else Attribution.ACCEPTED,
            units=self.units or {},
            readings=frozenset(parsers.meter_of(each) for each in readings - totals),
            totals=frozenset(map(parsers.meter_of, totals)),
            usage_items=self.usage_items or UsageItems(),
            edge_slack=self.edge_slack,
        )


def is_live(key: str) -> bool:
    """Return whether a key of Stripe or PacSpace is a live one: both name the mode in the same place."""
    return key.split("_", 2)[1:2] == ["live"]
