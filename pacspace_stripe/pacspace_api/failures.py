"""PacSpace's error answers as errors of ours (CONTRACT 1.5). 429 and 5xx never come here: the transport raises them."""

from pacspace_stripe.errors import (
    Conflict,
    HostMismatch,
    KeyRefused,
    NotFound,
    NotProvisioned,
    PlanLimitReached,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    ScopeRefused,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Answer, ErrorBody, asked_wait

PACSPACE = "PacSpace"
_NO_ROUTE = "Cannot "
"""Beginning of a 404 for a path that PacSpace does not serve, in the framework that its flat errors come from."""

_BY_CODE: dict[str, type[RemoteRefused]] = {
    "API_KEY_ENVIRONMENT_HOST_MISMATCH": HostMismatch,
    "INVALID_SCOPE_COMBINATION": ScopeRefused,
    "SCOPE_TOO_WIDE": ScopeRefused,
}
_BY_STATUS: dict[int, tuple[type[RemoteRefused], str]] = {
    401: (KeyRefused, "INVALID_API_KEY"),
    402: (PlanLimitReached, "INSUFFICIENT_CREDITS"),
    403: (RemoteRefused, "API_ERROR"),
    412: (NotProvisioned, "CONTRACT_NOT_DEPLOYED"),
}
"""Error and default code of the statuses whose meaning does not depend on their body."""
_FORBIDDEN = "PACSPACE_API_KEY may not do this at PACSPACE_API_BASE_URL: check that both are of one environment."
_ADDRESS = "Check PACSPACE_API_BASE_URL: this does not look like PacSpace's Balance API."


def pacspace_failure(endpoint: str, answer: Answer) -> RemoteError:
    """Return our error for an answer outside 2xx, with PacSpace's own code where it names one."""
    body = answer.error
    kind = _kind(answer.status, body)
    return kind(
        PACSPACE,
        f"{endpoint}: HTTP {answer.status}{body.suffix}",
        status=answer.status,
        code=body.code or _BY_STATUS.get(answer.status, (kind, "API_ERROR"))[1],
        request_id=answer.request_id,
        retry_after=asked_wait(body.retry_after),
        hint=_hint(kind, answer.status),
    )


def checkpoint_failed() -> RemoteRefused:
    """Return the error for a checkpoint that PacSpace answers as FAILED: it has no proof and will have none."""
    message = "PacSpace could not make this checkpoint"
    return RemoteRefused(PACSPACE, message, code="CHECKPOINT_FAILED", hint="Ask PacSpace why; nothing was proven.")


def _kind(status: int, body: ErrorBody) -> type[RemoteError]:
    """Return the error's class. A 404 is NotFound only in PacSpace's own words: a wrong address answers 404 too."""
    match status:
        case 400 | 403 if body.code in _BY_CODE:
            return _BY_CODE[body.code]
        case 401 | 402 | 403 | 412:
            return _BY_STATUS[status][0]
        case 404 if body.readable and _is_missing(body):
            return NotFound
        case 408 | 425:
            return RemoteUnavailable
        case _ if status >= 400 and status != 404 and body.readable:  # noqa: PLR2004  # any other error; a 404 of a wrong path is none
            return Conflict if status == 409 else RemoteRefused  # noqa: PLR2004  # conflict
        case _:
            return UnexpectedAnswer


def _hint(kind: type[RemoteError], status: int) -> str | None:
    """Return a hint, or None for that of the error's own class."""
    if kind is UnexpectedAnswer:
        return _ADDRESS
    return _FORBIDDEN if kind is RemoteRefused and status == 403 else None  # noqa: PLR2004  # forbidden


def _is_missing(body: ErrorBody) -> bool:
    if body.code:
        return body.code.endswith("NOT_FOUND")
    return body.message is not None and not body.message.startswith(_NO_ROUTE)
