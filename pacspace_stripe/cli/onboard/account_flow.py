"""How somebody gets in from where they are. Decisions only."""

from enum import Enum, auto
from urllib.parse import parse_qs, urlsplit

_TOKEN_NAMES = ("approvalToken", "approval_token", "token")


class Way(Enum):
    """How somebody gets in from where they are."""

    REQUEST = auto()
    WAIT = auto()
    REGISTER = auto()
    LOG_IN = auto()


def way_in(*, wanted: bool, requested: bool, registered: bool, token: bool, account: bool) -> Way:
    """``wanted``: access is to be requested whatever else; ``account``: they say that they have one."""
    if wanted:
        return Way.REQUEST
    if registered:
        return Way.LOG_IN
    if token:
        return Way.REGISTER
    if account:
        return Way.LOG_IN
    return Way.WAIT if requested else Way.REQUEST


def approval_token(pasted: str) -> str:
    """The token itself, also out of the whole link of PacSpace's mail; the link is not opened."""
    pasted = pasted.strip()
    if "://" not in pasted:
        return pasted
    try:
        query = parse_qs(urlsplit(pasted).query)
    except ValueError:
        return pasted
    return next((query[name][0] for name in _TOKEN_NAMES if name in query), pasted)
