"""Attempts at worlds: play one, judge it, and when it fails find a smaller one that fails the same way."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.support.generated.plans import Act, Delivery, Plan
from tests.support.generated.player import Player, played
from tests.support.generated.verdicts import AT_RELEASE, JUDGES, end_state
from tests.support.generated.worlds import draw

SHRINKING_SECONDS = 60
Fails = Callable[[Plan], list[str]]
Item = TypeVar("Item")
_PLAIN = {"split_at": None, "mailed": False, "footer": None, "metadata": 0, "account": None}
"""Ordinary subscription, without anything special."""


def folder() -> Path:
    """Return a folder in memory where there is one: the product's databases are written through to the disk."""
    memory = Path("/dev/shm")  # noqa: S108  # not a secret's place
    return Path(tempfile.mkdtemp(prefix="worlds-", dir=memory if memory.is_dir() else None))


def verdicts_of(plan: Plan, where: Path) -> list[str]:
    """Return what is wrong with a world after one play; a calm one is played again with perfect delivery."""
    with played(plan, where / "world") as player:
        wrong = _ended(player)
        ended = end_state(player)
        wrong += [said for judge in JUDGES for said in judge(player)]
    if plan.calm and not wrong:
        perfect = replace(plan, delivery=Delivery(), settings=(*plan.settings, ("sweep", "6h")))
        with played(perfect, where / "again") as again:
            wrong += _ended(again)
            other = end_state(again)
        wrong += [f"5 {one} with this delivery, {two} with a perfect one" for one, two in _unlike(ended, other)]
    return wrong


def _ended(player: Player) -> list[str]:
    player.heal()
    player.finish()
    wrong = [said for judge in AT_RELEASE for said in judge(player)]
    player.run_until(player.clock.now() + timedelta(hours=26))
    return wrong


def _unlike(one: list[dict[str, object]], other: list[dict[str, object]]) -> Iterator[tuple[object, object]]:
    if len(one) != len(other):
        yield len(one), len(other)
    for left, right in zip(one, other, strict=False):
        names = [name for name in left if left[name] != right[name]]
        if names:
            yield {name: left[name] for name in names}, {name: right[name] for name in names}


def tried(seed: int, where: Path) -> str | None:
    """Return the failure of this seed's world, shrunk; None when it does not fail."""
    logging.disable(logging.CRITICAL)
    try:
        plan = draw(seed)
        wrong = verdicts_of(plan, where)
        if not wrong:
            return None
        small, why = shrunk(plan, wrong, lambda each: verdicts_of(each, where))
        return "\n".join([small.story(), *why])
    finally:
        logging.disable(logging.NOTSET)


def shrunk(plan: Plan, wrong: list[str], fails: Fails) -> tuple[Plan, list[str]]:
    """Return the smallest plan, found in reasonable time, that breaks one of the same properties."""
    kinds = {said.split()[0] for said in wrong}
    deadline = time.monotonic() + SHRINKING_SECONDS
    while True:
        for simpler in _simpler(plan):
            if time.monotonic() > deadline:
                return plan, wrong
            said = _fails(simpler, fails)
            if kinds & {each.split()[0] for each in said}:
                plan, wrong = simpler, said
                break
        else:
            return plan, wrong


def _fails(plan: Plan, fails: Fails) -> list[str]:
    try:
        return fails(plan)
    except Exception as error:  # noqa: BLE001  # a smaller plan may make no sense
        return [f"crash {error}"]


def _simpler(plan: Plan) -> Iterator[Plan]:
    yield from (replace(plan, acts=_without(plan.acts, place)) for place in range(len(plan.acts)))
    for name in ("settings", "stripe", "ledger"):
        switches = getattr(plan, name)
        keep = {"retry", "ledger_account", "sweep"}
        for place, (switch, _) in enumerate(switches):
            if switch not in keep:
                fewer: dict[str, Any] = {name: _without(switches, place)}
                yield replace(plan, **fewer)
    if plan.delivery != Delivery():
        yield replace(plan, delivery=Delivery())
    for name in ("copies", "shuffled", "delay", "lost"):
        default = getattr(Delivery(), name)
        if getattr(plan.delivery, name) != default:
            yield replace(plan, delivery=replace(plan.delivery, **{name: default}))
    yield from _fewer_subscriptions(plan)
    for place, one in enumerate(plan.subscriptions):
        for name, default in _PLAIN.items():
            if getattr(one, name) != default:
                changed = replace(one, **{name: default})  # type: ignore[arg-type]  # by name
                yield replace(plan, subscriptions=_with(plan.subscriptions, place, changed))


def _fewer_subscriptions(plan: Plan) -> Iterator[Plan]:
    last = len(plan.subscriptions) - 1
    if last > 0 and not any(getattr(act, "subscription", -1) == last for act in plan.acts):
        yield replace(plan, subscriptions=plan.subscriptions[:-1], heals=plan.heals[:-1])
    for place in range(last):
        if not any(getattr(act, "subscription", -1) == place for act in plan.acts):
            acts = tuple(_moved(act, place) for act in plan.acts)
            yield replace(
                plan,
                subscriptions=_without(plan.subscriptions, place),
                heals=_without(plan.heals, place),
                acts=acts,
            )


def _moved(act: Act, place: int) -> Act:
    number = getattr(act, "subscription", -1)
    changes: dict[str, Any] = {"subscription": number - 1}
    moved: Act = replace(act, **changes) if number > place else act
    return moved


def _without(items: tuple[Item, ...], place: int) -> tuple[Item, ...]:
    return (*items[:place], *items[place + 1 :])


def _with(items: tuple[Item, ...], place: int, item: Item) -> tuple[Item, ...]:
    return (*items[:place], item, *items[place + 1 :])
