"""PacSpace's dashboard, as far as it takes to get a key: access, account, login, keys, environments (CONTRACT 8).

Owns the requests, the session and the reading of the answers. Does not own what a person is asked, nor where a key is
kept.
"""

from pacspace_stripe.pacspace_api.dashboard.client import AccessRequest, Dashboard
from pacspace_stripe.pacspace_api.dashboard.parsing import Environment, EnvironmentStatus, KeyRow, NewKey

__all__ = ["AccessRequest", "Dashboard", "Environment", "EnvironmentStatus", "KeyRow", "NewKey"]
