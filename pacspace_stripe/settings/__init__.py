"""Settings: one frozen value, read once from the environment, never from anywhere else."""

from pacspace_stripe.settings.loading import load_settings
from pacspace_stripe.settings.model import LogFormat, Settings
from pacspace_stripe.settings.table import Row, describe, env_example, readme_table
from pacspace_stripe.settings.written import duration, duration_text

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
