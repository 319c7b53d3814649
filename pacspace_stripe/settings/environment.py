"""``load_settings``: the environment becomes ``Settings``, or one error that names every mistake and no value."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.settings.model import Settings, is_live
from pacspace_stripe.vocabulary.ledger import LedgerProtocol

PREFIX = "PACSPACE_STRIPE_"
VARIABLES = tuple(str(field.alias) for field in Settings.model_fields.values())
_WEBHOOK_SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  # a variable's name
_HINT = "`pacspace-stripe settings` lists every setting with its meaning and default."
_OF_DELTAS = {
    f"{PREFIX}METER_FROM": ("account",),
    f"{PREFIX}EXCLUDE_REASONS": ("",),
    f"{PREFIX}ATTRIBUTION": ("auto", "accepted"),
    f"{PREFIX}UNITS": ("",),
    f"{PREFIX}READINGS": ("",),
}
"""Settings that choose among deltas, and their values that choose nothing."""
_FROM_KUBERNETES = re.compile(r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)?)?)")
"""Variables that Kubernetes sets in every pod beside a Service named ``pacspace-stripe…``: neither ours nor a typo."""


def load_settings(
    environ: Mapping[str, str], *, webhooks: bool = True, stripe: bool = True, pacspace: bool = True
) -> Settings:
    """Read all settings.

    ``webhooks=False``: the webhook secret may be missing, for commands that receive none. ``stripe=False``: Stripe's
    credentials are not read, for commands that ask PacSpace alone. ``pacspace=False``: PacSpace's key is not read, for
    commands that ask it nothing, or only what is public. Raises ConfigurationError for the first mistake, with a
    message that lists all of them, without any value.
    """
    unread: dict[str, Any] = {} if stripe else {"STRIPE_API_KEY": SecretStr(""), _WEBHOOK_SECRET: ()}
    unread |= {} if pacspace else {"PACSPACE_API_KEY": SecretStr("")}
    ours = {name: environ[name] for name in VARIABLES if name in environ and name not in unread}
    mistakes = [*_unknown(environ), *_mixed_keys(ours), *_without_deltas(ours), *_unsigned(ours)]
    settings = None
    try:
        settings = Settings(**({} if webhooks else {_WEBHOOK_SECRET: ()}) | unread | ours)
    except ValidationError as error:
        mistakes = [*_mistakes(error), *mistakes]
    # Raised outside the handler, where pydantic's error, which contains the input, would stay attached as context.
    if mistakes or settings is None:
        raise _as_one(mistakes)
    return settings


def _mistakes(error: ValidationError) -> Iterator[tuple[str, str, str | None]]:
    """Yield variable, problem and hint of each mistake."""
    for detail in error.errors(include_url=False, include_input=False):
        variable = str(detail["loc"][0])
        raised = detail.get("ctx", {}).get("error", detail["msg"])
        yield variable, "is not set" if detail["type"] == "missing" else str(raised), _hint_of(variable)


def _hint_of(variable: str) -> str | None:
    field = next(field for field in Settings.model_fields.values() if field.alias == variable)
    extra = field.json_schema_extra
    hint = extra.get("hint") if isinstance(extra, dict) else None
    return hint if isinstance(hint, str) else None


def _mixed_keys(ours: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Refuse a test key next to a live one: it would compare a customer's real bill with an empty ledger."""
    stripe, pacspace = ours.get("STRIPE_API_KEY"), ours.get("PACSPACE_API_KEY")
    if stripe and pacspace and is_live(stripe) != is_live(pacspace):
        kinds = ("live", "test") if is_live(pacspace) else ("test", "live")
        problem = "is a {} key and STRIPE_API_KEY is a {} key: both must be of the same mode".format(*kinds)
        yield "PACSPACE_API_KEY", problem, _hint_of("PACSPACE_API_KEY")


def _without_deltas(ours: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Refuse choices among deltas for the settlement ledger, which keeps one sum per record and would ignore them."""
    if ours.get(f"{PREFIX}LEDGER", "").strip() != LedgerProtocol.SETTLEMENT:
        return
    for name, usual in _OF_DELTAS.items():
        if ours.get(name, usual[0]).strip() not in usual:
            yield name, "chooses among deltas, and the settlement ledger (PACSPACE_STRIPE_LEDGER) has none", None


def _unsigned(ours: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Refuse alerts without a signing secret: their receiver could not tell them from a stranger's."""
    secret = "PACSPACE_STRIPE_ALERT_WEBHOOK_SECRET"  # noqa: S105  # a variable's name
    if "PACSPACE_STRIPE_ALERT_WEBHOOK_URL" in ours and secret not in ours:
        yield secret, "is not set, and PACSPACE_STRIPE_ALERT_WEBHOOK_URL is", _hint_of(secret)


def _unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Refuse unknown names with our prefix: a typo would silently leave the default in force."""
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in VARIABLES or _FROM_KUBERNETES.fullmatch(name):
            continue
        close = difflib.get_close_matches(name.upper(), VARIABLES, n=1)
        problem = f"is not a setting; did you mean {close[0]}?" if close else "is not a setting"
        yield name, problem, None


def _as_one(mistakes: list[tuple[str, str, str | None]]) -> ConfigurationError:
    (variable, problem, hint), *more = mistakes
    problems = [problem, *(f"{name}: {text}" for name, text, _ in more)]
    return ConfigurationError(variable, "\n".join(problems), hint=_HINT if more else hint or _HINT)
