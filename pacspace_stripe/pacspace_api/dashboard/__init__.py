"""PacSpace's dashboard, as far as it takes to get a key: access, account, login, keys, environments (contract 8).

Owns the requests, the session and the reading of the answers. Does not own what a person is asked, nor where a key is
kept.
"""

from pacspace_stripe.pacspace_api.dashboard.client import AccessRequest, Dashboard
from pacspace_stripe.pacspace_api.dashboard.reading import Environment, KeyRow, NewKey, Status

__all__ = ["AccessRequest", "Dashboard", "Environment", "KeyRow", "NewKey", "Status"]
