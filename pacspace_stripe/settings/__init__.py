"""The settings: one frozen value, built once from the environment and from nothing else.

No module reads the environment by itself: ``load_settings`` is called once per process, by a command or by
``webhooks.app.create_app``. No error and no output repeats a secret, and no error repeats any value.
"""

from pacspace_stripe.settings.environment import load_settings
from pacspace_stripe.settings.model import LogFormat, Settings
from pacspace_stripe.settings.parsers import duration, duration_text
from pacspace_stripe.settings.table import SettingRow, describe, env_example, markdown_table

__all__ = [
    "LogFormat",
    "SettingRow",
    "Settings",
    "describe",
    "duration",
    "duration_text",
    "env_example",
    "load_settings",
    "markdown_table",
]
