"""No metered invoice leaves Stripe unless the neutral ledger agrees with it.

``from pacspace_stripe import PacSpace`` imports the client of PacSpace; all that it takes and returns is in
``pacspace_stripe.pacspace_api``, with a README beside it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pacspace_stripe.pacspace_api import (
        CurrentMonth,
        Month,
        NewDelta,
        PacSpace,
        PublicPacSpace,
        Since,
        Source,
        Window,
        Write,
    )

__all__ = [
    "CurrentMonth",
    "Month",
    "NewDelta",
    "PacSpace",
    "PublicPacSpace",
    "Since",
    "Source",
    "Window",
    "Write",
    "__version__",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the client on first use: the commands' ``--help`` must not wait for an HTTP library."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from pacspace_stripe import pacspace_api  # noqa: PLC0415  # the point of this function

    return getattr(pacspace_api, name)
