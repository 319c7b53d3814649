"""Ground of all other tests: two real kinds of database, and no way out of this machine."""

import socket

import pytest
import sqlalchemy

from pacspace_stripe.settings import load_settings
from tests.support.settings import CREDENTIALS


def test_every_database_is_empty_and_answers(database_url: str) -> None:
    settings = load_settings(CREDENTIALS | {"PACSPACE_STRIPE_DATABASE_URL": database_url})
    engine = sqlalchemy.create_engine(settings.database_url.get_secret_value())
    assert sqlalchemy.inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE something (id INTEGER)"))
    engine.dispose()


def test_a_module_can_share_a_database(module_database_url: str) -> None:
    assert module_database_url.startswith(("sqlite:///", "postgresql://"))


def test_each_test_has_a_database_of_its_own(sqlite_url: str, postgresql_url: str) -> None:
    assert sqlite_url.startswith("sqlite:///")
    assert postgresql_url.startswith("postgresql://")


def test_a_test_that_reaches_for_the_network_fails() -> None:
    with socket.socket() as outside, pytest.raises(RuntimeError, match="loopback only"):
        outside.connect(("192.0.2.1", 9))
