"""What PacSpace's error answers mean for us (1.5). 429 and 5xx never come here: the transport raises them."""

from pacspace_stripe.errors import NotFound, RemoteError, RemoteRefused, RemoteUnavailable, UnexpectedAnswer
from pacspace_stripe.transport.answers import ErrorBody, error_body
from pacspace_stripe.transport.client import Answer

PACSPACE = "PacSpace"
_NO_ROUTE = "Cannot "
"""How the framework that PacSpace's flat errors come from begins the 404 of a path it does not serve."""

_KNOWN: dict[int, tuple[str, str]] = {
    401: ("INVALID_API_KEY", "Set PACSPACE_API_KEY to an active key from PacSpace's dashboard."),
    402: (
        "INSUFFICIENT_CREDITS",
        "The plan behind PACSPACE_API_KEY has reached its limit: raise it in PacSpace's dashboard.",
    ),
    403: (
        "API_ERROR",
        "PACSPACE_API_KEY may not do this at PACSPACE_API_BASE_URL: check that both are of one environment.",
    ),
    412: (
        "CONTRACT_NOT_DEPLOYED",
        "The environment of PACSPACE_API_KEY is not provisioned: do so in PacSpace's dashboard.",
    ),
}
_ADDRESS = "Check PACSPACE_API_BASE_URL: this does not look like PacSpace's Balance API."


def pacspace_failure(endpoint: str, answer: Answer) -> RemoteError:
    """The error of ours that an answer outside 2xx is, with PacSpace's own code where it names one."""
    said = error_body(answer.body)
    code, hint = _KNOWN.get(answer.status, ("API_ERROR", None))
    kind = _kind(answer.status, said)
    return kind(
        PACSPACE,
        f"{endpoint}: HTTP {answer.status}{said.suffix}",
        status=answer.status,
        code=said.code or code,
        request_id=answer.request_id,
        hint=_ADDRESS if kind is UnexpectedAnswer else hint,
    )


def _kind(status: int, said: ErrorBody) -> type[RemoteError]:
    """A 404 counts as "does not exist" only in PacSpace's own words: a wrong address answers 404 too."""
    match status:
        case 401 | 402 | 403 | 412:
            return RemoteRefused
        case 404 if said.readable and _is_missing(said):
            return NotFound
        case 408 | 425:
            return RemoteUnavailable
        case _ if status >= 400 and status != 404 and said.readable:  # noqa: PLR2004  # errors, but no stray 404
            return RemoteRefused
        case _:
            return UnexpectedAnswer


def _is_missing(said: ErrorBody) -> bool:
    if said.code:
        return said.code.endswith("NOT_FOUND")
    return said.message is not None and not said.message.startswith(_NO_ROUTE)
