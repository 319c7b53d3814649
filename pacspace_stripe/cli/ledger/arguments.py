"""What is typed on the command line: exact numbers, times, JSON, spans of time."""

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from pacspace_stripe.errors import InvalidInput
from pacspace_stripe.http.answers import exact_json
from pacspace_stripe.pacspace_api import Month, inputs
from pacspace_stripe.vocabulary.windows import Window

NEGATIVE = {"ignore_unknown_options": True}
"""For a command's context, so that ``-42.5`` is a number and no option."""


class _Number(click.ParamType[Any]):
    """An exact decimal."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401 - click's
        try:
            return inputs.number("it", Decimal(value))
        except (InvalidOperation, InvalidInput):
            self.fail(f"{value!r} is not a number that a balance could be", param, ctx)


class _Moment(click.ParamType[Any]):
    """An ISO 8601 time; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401 - click's
        try:
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time: write 2026-10-01 or 2026-10-01T12:00:00Z", param, ctx)


class _Metadata(click.ParamType[Any]):
    """A JSON object, its numbers exact."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, object]:  # noqa: ANN401 - click's
        try:
            read = exact_json(value)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            self.fail("write a JSON object", param, ctx)
        return read


NUMBER, MOMENT, METADATA = _Number(), _Moment(), _Metadata()


def scoped(command: Callable[..., object]) -> Callable[..., object]:
    """The options that say which records are meant, as the one argument ``scope``; none of them: this month, in UTC."""

    @functools.wraps(command)
    def with_scope(
        *args: object, period: str | None, start: datetime | None, end: datetime | None, **options: object
    ) -> object:
        return command(*args, scope=_scope(period, start, end), **options)

    made: Callable[..., object] = with_scope
    for option in (
        click.option("--to", "end", type=MOMENT, help="End of the span, itself not included."),
        click.option("--from", "start", type=MOMENT, help="Start of a span of time, itself included; with --to."),
        click.option("--period", help="A month, like 2026-10. Without any of these: this month, in UTC."),
    ):
        made = option(made)
    return made


def _scope(period: str | None, start: datetime | None, end: datetime | None) -> Month | Window | None:
    if (start is None) != (end is None) or (period and start):
        message = "name a --period, or --from and --to"
        raise click.UsageError(message)
    if start and end:
        if end <= start:
            message = "--to is after --from"
            raise click.UsageError(message)
        return Window(start=start, end=end)
    return Month.parse(period) if period else None
