"""How long PacSpace is asked about proof roots: a document names as many as it likes, the answer comes soon anyway.

Whoever is not asked about stays an open question, never an agreement.
"""

import time
from collections.abc import Callable

from pacspace_stripe.domain.ledger import ProofSummary
from pacspace_stripe.errors import InvalidInput, RemoteError, RemoteUnavailable
from pacspace_stripe.pacspace_api import PacSpaceApi
from pacspace_stripe.transport import Timeouts
from pacspace_stripe.verification.report import Result, cannot_tell

PATIENCE = Timeouts(total=10.0)
"""With one question, for someone who waits for the answer."""
LONGEST = 30.0
"""Seconds for all proof roots of a document together: none is asked about that much later."""
MOST_ROOTS = 50
_SILENT = "the other proof roots were not asked about: PacSpace does not answer"
_LATE = f"the other proof roots were not asked about: {LONGEST:.0f} seconds were over"
_MANY = f"the other proof roots were not asked about: {MOST_ROOTS} are the most"


class Roots:
    """What public verify says of each root, each asked about once."""

    def __init__(self, pacspace: PacSpaceApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pacspace = pacspace
        self._clock = clock
        self._until = clock() + LONGEST
        self._found: dict[str, ProofSummary | Result] = {}
        self._silent = False

    def about(self, root: str) -> ProofSummary | Result:
        """What public verify says of a root, or why it says nothing."""
        if root in self._found:
            return self._found[root]
        if (reason := self._over()) is not None:
            return cannot_tell(reason)
        self._found[root] = found = self._asked(root)
        return found

    def _over(self) -> str | None:
        if self._silent:
            return _SILENT
        if len(self._found) >= MOST_ROOTS:
            return _MANY
        return _LATE if self._clock() >= self._until else None

    def _asked(self, root: str) -> ProofSummary | Result:
        try:
            return self._pacspace.verify(root)
        except (RemoteError, InvalidInput) as error:
            self._silent = isinstance(error, RemoteUnavailable)
            return cannot_tell(str(error))
