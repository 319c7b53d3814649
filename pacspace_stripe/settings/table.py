"""Settings for people: the rows of ``pacspace-stripe settings``, the documentation's table, ``.env.example``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import SecretStr

from pacspace_stripe.settings.model import Settings
from pacspace_stripe.settings.parsers import duration_text
from pacspace_stripe.vocabulary.policy import UsageItems
from pacspace_stripe.vocabulary.quantities import text

_HIDDEN = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting. ``current`` is the value in force, secrets hidden; None if the settings could not be read."""

    name: str
    meaning: str
    required: bool
    default: str | None
    """The default as a person writes it; None: unset."""
    current: str | None


def describe(settings: Settings | None) -> tuple[SettingRow, ...]:
    """Return every setting, in the order of the documentation."""
    return tuple(
        SettingRow(
            name=str(field.alias),
            meaning=str(field.description),
            required=field.is_required(),
            default=field.default if isinstance(field.default, str) else None,
            current=None if settings is None else _shown(getattr(settings, attribute)),
        )
        for attribute, field in Settings.model_fields.items()
    )


def markdown_table() -> str:
    """Return the documentation's settings table, in Markdown."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for row in describe(None):
        default = "**required**" if row.required else f"`{row.default}`" if row.default else "unset"
        lines.append(f"| `{row.name}` | {default} | {row.meaning} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return ``.env.example``: required settings to fill in, all others with their defaults, commented out."""
    lines = ["# Copy to .env and load it with your process manager; pacspace-stripe itself reads the environment only."]
    for row in describe(None):
        lines += ["", f"# {row.meaning}", f"{'' if row.required else '# '}{row.name}={row.default or ''}"]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    """Return a value as the environment would have it; of a secret, only its kind."""
    match value:
        case None:
            return ""
        case SecretStr():
            return _hidden(value.get_secret_value())
        case tuple() | frozenset() | Mapping() | UsageItems():
            return ",".join(_parts(value))
        case timedelta():
            return duration_text(value)
        case Decimal():
            return text(value)
        case _:
            return str(value)


def _parts(value: tuple[object, ...] | frozenset[object] | Mapping[str, object] | UsageItems) -> Iterable[str]:
    match value:
        case Mapping():
            return (f"{name}={_shown(part)}" for name, part in value.items())
        case UsageItems():
            return value.described
        case frozenset():
            return sorted(map(_shown, value))
        case _:
            return map(_shown, value)


def _hidden(secret: str) -> str:
    """Return a secret as ``sk_live_…`` or ``postgresql+psycopg://host/database``: recognisable, but of no use."""
    if "://" in secret:
        parts = urlsplit(secret)
        host = parts.netloc.rpartition("@")[2]
        user = _HIDDEN + "@" if "@" in parts.netloc else ""
        query = "?" + _HIDDEN if parts.query else ""
        # The path of a receiver's address is often its only secret, as with Slack.
        path = f"/{_HIDDEN}" if parts.scheme in {"http", "https"} else parts.path
        return f"{parts.scheme}://{user}{host}{path}{query}"
    kind = "_".join(secret.split("_")[: 1 if secret.startswith("whsec_") else 2])
    return f"{kind}_{_HIDDEN}"
