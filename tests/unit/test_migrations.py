"""The schema's version is said in two places."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import pacspace_stripe.store.migrations
from pacspace_stripe.store.database import NEWEST


def test_the_newest_revision_is_the_one_that_processes_look_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(pacspace_stripe.store.migrations.__path__[0])))
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]
