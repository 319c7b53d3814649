"""Rows of the tables as values. ``tests/data/scenarios/README.md`` lists the words; any other is an error."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

FOLDER = Path(__file__).parents[2] / "data" / "scenarios"
_HOUR = timedelta(hours=1)


def _moment(written: object) -> object:
    """Return TOML's dates and times; in UTC if they have no zone."""
    if isinstance(written, date) and not isinstance(written, datetime):
        return datetime(written.year, written.month, written.day, tzinfo=UTC)
    if isinstance(written, datetime) and written.tzinfo is None:
        return written.replace(tzinfo=UTC)
    return written


def _listed(written: object) -> object:
    return [written] if isinstance(written, dict) else written


Moment = Annotated[datetime, BeforeValidator(_moment)]
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Open(BaseModel):
    """Words of a row that are passed on to the simulator."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def rest(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Price(_Open):
    """A metered price, or a flat one if its meter is ``""``."""

    name: str
    meter: str = "api_calls"


class Subscription(_Open):
    """A customer's subscription and its period."""

    id: str = "sub_acme"
    customer: str = "cus_acme"
    prices: tuple[str, ...] = ("api_calls",)
    start: Moment = OCTOBER
    end: Moment = NOVEMBER
    account: str | None = None


class Counted(_Row):
    """A meter event."""

    at: Moment
    quantity: Decimal
    meter: str = "api_calls"
    customer: str = "cus_acme"
    told: Moment | None = None
    id: str | None = None

    @property
    def happens_at(self) -> datetime:
        return self.told or self.at


class Recorded(_Row):
    """A delta."""

    at: Moment
    usage: Decimal | None = None
    delta: Decimal | None = None
    meter: str = "api_calls"
    customer: str = "cus_acme"
    account: str | None = None
    reason: str | None = None
    reference: str | None = None
    metadata: dict[str, Any] | None = None
    adjusts: str | None = None
    status: Literal["verified", "unverified", "failed"] = "verified"
    id: str | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> "Recorded":
        if (self.usage is None) == (self.delta is None):
            message = "a ledger row has usage or a delta"
            raise ValueError(message)
        return self

    @property
    def happens_at(self) -> datetime:
        return self.at


class Both(_Row):
    """Equal usage on both sides."""

    at: Moment
    quantity: Decimal
    meter: str = "api_calls"
    customer: str = "cus_acme"
    told: Moment | None = None
    accepted: Moment | None = None
    account: str | None = None
    reason: str | None = None
    reference: str | None = None
    metadata: dict[str, Any] | None = None
    status: Literal["verified", "unverified", "failed"] = "verified"
    id: str | None = None


class Then(_Open):
    """Something that happens later."""

    at: Moment
    do: str

    @property
    def happens_at(self) -> datetime:
        return self.at


class ExpectedWindow(_Row):
    """Figures of one window; None stands for any value."""

    meter: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    account: str | None = None
    billed: Decimal | None = None
    recorded: Decimal | None = None
    count: int | None = None
    reason: str | None = None


class ExpectedPlace(_Row):
    """A place where the two sides differ, and its cause."""

    start: Moment | None = None
    end: Moment | None = None
    meter: str | None = None
    cause: str | None = None
    counterpart: str | None = None
    factor: Decimal | None = None
    billed: Decimal | None = None
    recorded: Decimal | None = None
    records: tuple[str, ...] | None = None


class Expected(_Row):
    """The expected end of one invoice."""

    of: str | None = None
    verdict: str | None = None
    reason: str | None = None
    status: str | None = None
    says: str = ""
    windows: tuple[ExpectedWindow, ...] | None = None
    stamped: dict[str, str] = Field(default_factory=dict)
    left: bool | None = None
    calls: int | None = None
    located: tuple[ExpectedPlace, ...] | None = None
    plan: tuple[str, ...] | None = None


class Scenario(_Row):
    """One row of the table."""

    name: str
    story: str
    settings: dict[str, str] = Field(default_factory=dict)
    meters: dict[str, str] = Field(default_factory=dict)
    event_time_windows: dict[str, Literal["hour", "day"]] = Field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    subscriptions: tuple[Subscription, ...] = (Subscription(),)
    rules: dict[str, Any] = Field(default_factory=dict)
    both: tuple[Both, ...] = ()
    stripe: tuple[Counted, ...] = ()
    ledger: tuple[Recorded, ...] = ()
    then: tuple[Then, ...] = ()
    starts: Moment | None = None
    ends: Moment | None = None
    expect: Annotated[tuple[Expected, ...], BeforeValidator(_listed)]

    @property
    def starts_at(self) -> datetime:
        return self.starts or min(each.end for each in self.subscriptions) - _HOUR

    @property
    def ends_at(self) -> datetime:
        return self.ends or min(each.end for each in self.subscriptions) + 3 * _HOUR


def all_scenarios() -> list[tuple[str, Scenario]]:
    """Return every scenario of every file, with the file's name. Raises ValueError for a name that is used twice."""
    found = [(file.stem, row) for file in sorted(FOLDER.glob("*.toml")) for row in _scenarios(file)]
    names = [row.name for _, row in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        message = f"scenarios with one name: {sorted(twice)}"
        raise ValueError(message)
    return found


def _scenarios(file: Path) -> list[Scenario]:
    tables = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)["scenario"]
    return [Scenario.model_validate(table) for table in tables]
