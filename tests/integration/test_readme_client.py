"""The client's README: its example runs; its tables leave nothing out and name nothing that does not exist."""

import os
import re
import subprocess
import sys
from inspect import getmembers, isfunction

import pacspace_sdk

from pacspace_stripe import errors
from pacspace_stripe.pacspace_api import PacSpace
from pacspace_stripe.simulator.clock import WallClock
from pacspace_stripe.simulator.pacspace import PacSpaceSimulator
from pacspace_stripe.simulator.serve import serve
from tests.integration.test_pacspace_both_clients import public_calls
from tests.support.documents import part, split

OUR_CALL = re.compile(r"`pac\.([a-z_.]+)`")
ROUTE = re.compile(r"(?:GET|POST) (/[^`]*)")


def rows(name: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part(name).splitlines()[2:]]


def our_calls() -> set[str]:
    """Every public method of our client and of its parts."""
    parts = {
        name: type(each) for name, each in vars(PacSpace("pk_test_a.b")).items() if type(each).__name__.endswith("Api")
    }
    named = {f"{name}.{method}" for name, each in parts.items() for method, _ in getmembers(each, isfunction)}
    named |= {method for method, _ in getmembers(PacSpace, isfunction)}
    return {name for name in named if not any(word.startswith("_") for word in name.split("."))}


def test_the_example_prints_what_it_says() -> None:
    code = part("example").removeprefix("```python\n").removesuffix("```\n")
    simulator = PacSpaceSimulator(WallClock())
    with serve(simulator) as at:
        simulator.base_url = at.url
        environment = {
            "PACSPACE_API_KEY": simulator.api_key,
            "PACSPACE_API_BASE_URL": at.url,
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"  # (.*)$", code, re.MULTILINE)


def test_every_call_of_the_sdk_is_in_the_table() -> None:
    records = {f"records.{name}" for name in dir(pacspace_sdk.PacSpace("pk_test_a.b").records) if name[0] != "_"}
    named = [name for theirs, _ in rows("sdk") for name in re.findall(r"`([^`]+)`", theirs)]
    assert sorted(named) == sorted(public_calls() | records)


def test_the_sdk_has_no_client_but_those_of_the_table() -> None:
    assert set(vars(pacspace_sdk.PacSpace("pk_test_a.b"))) == {"_client", "balance", "customers", "records", "webhooks"}


def test_every_call_in_the_tables_exists_and_every_call_is_in_one() -> None:
    named = set(OUR_CALL.findall(part("pages") + part("sdk")))
    assert named == our_calls()


def test_every_error_that_is_named_exists() -> None:
    section = split("pages")[1].partition("## PacSpace's two pages")[0]
    named = set(re.findall(r"`([A-Z][a-zA-Z]+)`", section)) - {
        "CurrentMonth",
        "Decimal",
        "Month",
        "NaN",
        "PacSpace",
        "PublicPacSpace",
    }
    assert len(named) > 10
    assert [name for name in named if not issubclass(getattr(errors, name), errors.PacspaceStripeError)] == []


def test_every_row_says_what_serves_it() -> None:
    for row in rows("pages") + rows("sdk"):
        assert all(row), row


def test_every_request_of_the_two_pages_is_in_the_table() -> None:
    asked = {path for _, request, _ in rows("pages") for path in ROUTE.findall(request)}
    assert asked >= {
        "/dashboard/auth/request-access",
        "/dashboard/auth/login",
        "/dashboard/api-keys",
        "/dashboard/environments",
        "/api/v1/balance/delta",
        "/api/v1/balance/derive/{id}",
        "/api/v1/balance/compare",
        "/api/v1/balance/checkpoint",
        "/api/v1/writes",
        "/api/v1/reads/bucket/{id}",
    }
