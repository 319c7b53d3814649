"""What we ask of PacSpace's older settlement API (7): the record behind a key, and nothing else."""

from urllib.parse import quote

from pacspace_stripe import __version__
from pacspace_stripe.domain.ledger import Record
from pacspace_stripe.errors import NotFound
from pacspace_stripe.pacspace_api.failures import PACSPACE, pacspace_failure
from pacspace_stripe.pacspace_api.reading import data_of
from pacspace_stripe.transport import Call, Transport
from pacspace_stripe.transport.answers import Fields


class RecordApi:
    """PacSpace's records at ``base_url``. Thread-safe; raises what ``PacSpaceApi`` does."""

    def __init__(self, transport: Transport, api_key: str, base_url: str) -> None:
        self._transport = transport
        self._key = {"X-Api-Key": api_key}
        self._base_url = base_url.rstrip("/")

    def record(self, key: str) -> Record | None:
        """All writes to ``key``, added up; None when nothing was written to it."""
        call = Call(
            service=PACSPACE,
            method="GET",
            url=f"{self._base_url}/api/v1/reads/bucket/{quote(key, safe='')}",
            endpoint="GET /api/v1/reads/bucket/{key}",
            headers={"User-Agent": f"pacspace-stripe/{__version__}", "Accept": "application/json", **self._key},
        )
        answer = self._transport.send(call)
        if not 200 <= answer.status < 300:  # noqa: PLR2004  # success
            failure = pacspace_failure(call.endpoint, answer)
            if isinstance(failure, NotFound):
                return None
            raise failure
        return record_from_pacspace(data_of("record", answer), key)


def record_from_pacspace(data: Fields, key: str) -> Record:
    """A ``reads/bucket`` answer."""
    named = data.optional_text("key")
    if named is not None and named != key:
        data.reject("key", "is not the one asked for")
    writes = data.integer("totalWrites")
    if writes < 0:
        data.reject("totalWrites", "is negative")
    return Record(key=key, bits=data.number("currentBits"), writes=writes, verified=data.flag("verified"))
