"""Settings: one frozen value, read once from the environment, never from anywhere else."""

from pacspace_stripe.settings.model import LogFormat, Settings
from pacspace_stripe.settings.parsers import duration, duration_text
from pacspace_stripe.settings.source import load_settings
from pacspace_stripe.settings.table import Row, describe, env_example, readme_table

__all__ = [
    "LogFormat",
    "Row",
    "Settings",
    "describe",
    "duration",
    "duration_text",
    "env_example",
    "load_settings",
    "readme_table",
]
