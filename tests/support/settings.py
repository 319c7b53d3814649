"""Settings for tests: credentials that load, errors that are refused, and all that an error could show."""

import traceback
from collections.abc import Iterator

import pytest

from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.settings import Settings, load_settings

ALERT_SECRET = "whsec_" + "dGVsbG5vYm9keSB3aGF0IHRoaXMgc2lnbnMh"
CREDENTIALS = {
    "STRIPE_API_KEY": "sk_test_tellnobody1",
    "STRIPE_WEBHOOK_SECRET": "whsec_tellnobody2",
    "PACSPACE_API_KEY": "pk_test_tellnobody3.sk_tellnobody4",
}


def loaded(**variables: str) -> Settings:
    """Return the settings of the credentials and more variables."""
    return load_settings(CREDENTIALS | variables)


def refused(**variables: str) -> ConfigurationError:
    """Return the error that these variables lead to."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(**variables)
    return caught.value


def everything_shown(error: BaseException) -> Iterator[str]:
    """Yield what a log, a terminal or an error reporter would print of an error and of its causes."""
    chain: list[BaseException] = [error]
    for one in chain:
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
    yield "".join(traceback.format_exception(error))
