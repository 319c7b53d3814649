"""What the dashboard's error answers mean for us. 429 and 5xx never come here: the transport raises them."""

from pacspace_stripe.errors import (
    Conflict,
    LoginRefused,
    NotApproved,
    NotProvisioned,
    PlanLimitReached,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
    UnexpectedAnswer,
)
from pacspace_stripe.http.calls import Answer, ErrorBody
from pacspace_stripe.pacspace_api.failures import PACSPACE

LOGIN, MFA, REGISTER = "/dashboard/auth/login", "/dashboard/auth/login/mfa-verify", "/dashboard/auth/register"
ADDRESS = "Check the dashboard's address: what answers there is not PacSpace's dashboard."

_BY_STATUS: dict[int, type[RemoteError]] = {
    401: LoginRefused,
    402: PlanLimitReached,
    404: UnexpectedAnswer,
    408: RemoteUnavailable,
    409: Conflict,
    412: NotProvisioned,
    425: RemoteUnavailable,
}
_HINTS: dict[tuple[type[RemoteError], str], str] = {
    (LoginRefused, LOGIN): "Check email and password; without an account yet, request access first (--request-access).",
    (LoginRefused, MFA): "Run it again, with the code that your authenticator shows then.",
    (
        NotApproved,
        LOGIN,
    ): "Has PacSpace approved the account? Did you open its mail's link to verify the address?",
    (NotApproved, REGISTER): "The token is in PacSpace's mail after the approval, and belongs to the email that asked.",
    (Conflict, REGISTER): "There is an account for this email already: log in.",
    (RemoteRefused, REGISTER): "Correct what it says, and register again.",
}
_SESSION_OVER = "The session is over: run the same command again."
_REFUSED = "PacSpace's dashboard says why; what your plan and role allow is shown there."


def dashboard_failure(endpoint: str, answer: Answer) -> RemoteError:
    """The error of ours that an answer outside 2xx is, with PacSpace's own code where it names one."""
    said, path = answer.said, endpoint.partition(" ")[2]
    kind = _kind(path, answer.status, said)
    return kind(
        PACSPACE,
        f"{endpoint}: HTTP {answer.status}{said.suffix}",
        status=answer.status,
        code=said.code,
        request_id=answer.request_id,
        hint=_hint(kind, path),
    )


def _kind(path: str, status: int, said: ErrorBody) -> type[RemoteError]:
    if not said.readable or status < 400:  # noqa: PLR2004  # the first error status
        return UnexpectedAnswer
    if status in {400, 401, 403} and "APPROV" in (said.code or "").upper():
        return NotApproved
    if status == 403 and path == LOGIN:  # noqa: PLR2004  # known, and not let in
        return NotApproved
    return _BY_STATUS.get(status, RemoteRefused)


def _hint(kind: type[RemoteError], path: str) -> str | None:
    """None is the hint of the error's own class."""
    if kind is UnexpectedAnswer:
        return ADDRESS
    if (kind, path) in _HINTS:
        return _HINTS[kind, path]
    if kind is LoginRefused:
        return _SESSION_OVER
    return _REFUSED if kind is RemoteRefused else None
