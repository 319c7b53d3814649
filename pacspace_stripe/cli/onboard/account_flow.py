"""The flow from no account to a key: steps 1 to 3 of PacSpace's Quick Start, each taken only if it is left to do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from urllib.parse import parse_qs, urlsplit

import click

from pacspace_stripe.cli.onboard.env_file import EnvFile, Progress
from pacspace_stripe.cli.onboard.prompts import (
    APPROVAL_TOKEN,
    MFA_CODE,
    PASSWORD,
    STRIPE_KEY,
    STRIPE_SECRET,
    Prompts,
    public_half,
)
from pacspace_stripe.errors import (
    ConfigurationError,
    Conflict,
    NotApproved,
    NotProvisioned,
    RemoteError,
    UnexpectedAnswer,
)
from pacspace_stripe.pacspace_api.dashboard import AccessRequest, Dashboard, Environment, EnvironmentStatus, NewKey
from pacspace_stripe.pacspace_api.failures import PACSPACE
from pacspace_stripe.settings import parsers
from pacspace_stripe.settings.model import is_live

_KEY, _ADDRESS = "PACSPACE_API_KEY", "PACSPACE_API_BASE_URL"
_USE_CASE = "Record usage before invoices go out."
_TOKEN_NAMES = ("approvalToken", "approval_token", "token")


class Way(Enum):
    """The way to a login from what is known of a person."""

    REQUEST = auto()
    WAIT = auto()
    REGISTER = auto()
    LOG_IN = auto()


def way_in(*, request_access: bool, requested: bool, registered: bool, token: bool, account: bool) -> Way:
    """Return the next step to a login.

    ``request_access``: the person wants to request access in any case; ``account``: the person says there is one.
    """
    if request_access:
        return Way.REQUEST
    if registered:
        return Way.LOG_IN
    if token:
        return Way.REGISTER
    if account:
        return Way.LOG_IN
    return Way.WAIT if requested else Way.REQUEST


def approval_token(pasted: str) -> str:
    """Return the token, taken out of the link in PacSpace's mail if that was pasted; the link is not opened."""
    pasted = pasted.strip()
    if "://" not in pasted:
        return pasted
    try:
        query = parse_qs(urlsplit(pasted).query)
    except ValueError:
        return pasted
    return next((query[name][0] for name in _TOKEN_NAMES if name in query), pasted)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardOptions:
    """The options of the command line."""

    email: str | None
    name: str | None
    organization: str | None
    use_case: str | None
    environment: Environment
    key_name: str
    patience: timedelta
    request_access: bool
    provision: bool
    replace: bool
    show_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Onboarding:
    """One run of the onboarding, from where the environment file says that the last run ended."""

    options: OnboardOptions
    file: EnvFile
    prompts: Prompts
    dashboard: Dashboard
    echo: Callable[[str], object]

    def run(self) -> None:
        """Take every step that is left. Raises NotApproved until PacSpace approves the access, and RemoteError."""
        self._check_given()
        progress = self._progress()
        self._get_in(progress)
        self._get_key()
        self._see_environment()
        self._fill_in_stripe()

    # Step 1: access and account

    def _progress(self) -> Progress:
        noted = self.file.progress()
        email = self.prompts.text(
            self.options.email or (noted.email if noted and noted.dashboard == self.dashboard.base_url else None),
            "--email",
            "Your email address at PacSpace",
        ).strip()
        if noted and (noted.email, noted.dashboard) == (email, self.dashboard.base_url):
            return noted
        return Progress(dashboard=self.dashboard.base_url, email=email)

    def _get_in(self, progress: Progress) -> None:
        requested = progress == self.file.progress()
        token = self._token(requested=requested and not progress.registered)
        account = progress.registered or bool(token) or self._has_account(progress, requested=requested)
        way = way_in(
            request_access=self.options.request_access,
            requested=requested,
            registered=progress.registered,
            token=bool(token),
            account=account,
        )
        match way:
            case Way.REQUEST:
                self._request(progress)
            case Way.WAIT:
                raise _waiting(progress)
            case Way.REGISTER:
                self._log_in(progress, self._register(progress, token))
            case Way.LOG_IN:
                self._log_in(progress, self.prompts.secret(PASSWORD, f"Password of {progress.email} at PacSpace"))

    def _token(self, *, requested: bool) -> str:
        if self.options.request_access or not (requested or self.prompts.has(APPROVAL_TOKEN)):
            return ""
        question = "Approval token, or the link in PacSpace's mail (Enter: none)"
        return approval_token(self.prompts.optional_secret(APPROVAL_TOKEN, question))

    def _has_account(self, progress: Progress, *, requested: bool) -> bool:
        if self.options.request_access or self.prompts.has(PASSWORD):
            return True
        already = "by now" if requested else "already"
        return self.prompts.agrees(f"Does {progress.email} have an account at PacSpace {already}?")

    def _request(self, progress: Progress) -> None:
        request = self._access_request(progress)
        self.dashboard.request_access(request)
        asked = self._noted(progress, request)
        self.file.note(asked)
        self.echo(f"Requested access for {request.email}. PacSpace reviews it, and answers by mail.")
        raise _waiting(asked)

    def _register(self, progress: Progress, token: str) -> str:
        request = self._access_request(progress)
        password = self.prompts.secret(PASSWORD, f"A password for {request.email} at PacSpace", twice=True)
        try:
            self.dashboard.register(request, password=password, approval_token=token)
            self.echo(f"Registered {request.email}. Should PacSpace mail a link to verify the address, open it.")
        except Conflict:
            self.echo(f"{request.email} has an account already.")
        self.file.note(self._noted(progress, request).with_account())
        return password

    def _access_request(self, progress: Progress) -> AccessRequest:
        options, ask = self.options, self.prompts.text
        return AccessRequest(
            email=progress.email,
            name=ask(options.name or progress.name, "--name", "Your name"),
            organization=ask(options.organization or progress.organization, "--organization", "Your organization"),
            use_case=ask(options.use_case or progress.use_case, "--use-case", "What for", _USE_CASE),
        )

    def _noted(self, progress: Progress, request: AccessRequest) -> Progress:
        return Progress(
            dashboard=progress.dashboard,
            email=request.email,
            name=request.name,
            organization=request.organization,
            use_case=request.use_case,
        )

    # Step 2: a session and a key

    def _log_in(self, progress: Progress, password: str) -> None:
        ticket = self.dashboard.log_in(progress.email, password)
        if ticket is not None:
            code = self.prompts.secret(MFA_CODE, "Code of your authenticator").strip()
            self.dashboard.verify_mfa(ticket, code)
        self.echo(f"Logged in as {progress.email}.")
        noted = self.file.progress()
        known = noted if noted and (noted.email, noted.dashboard) == (progress.email, progress.dashboard) else progress
        if noted != known.with_account():
            self.file.note(known.with_account())

    def _get_key(self) -> None:
        there = self.file.values().get(_KEY)
        if there and not self.options.replace:
            self.echo(f"{self.file.path} has {public_half(there)} for {_KEY} already: kept (--replace makes another).")
            return
        # Written before the key exists, since a key is shown only once and must not be lost to a file that fails.
        self.file.fill({})
        self._mention_namesakes()
        key = self.dashboard.create_key(self.options.key_name, self.options.environment)
        if key.kind != self.options.environment.of_keys:
            message = f"a {key.kind} key was made ({key.key_id}), not one of the {self.options.environment} environment"
            raise UnexpectedAnswer(PACSPACE, message, hint="It was not kept: delete it in PacSpace's dashboard.")
        self._keep(key)

    def _mention_namesakes(self) -> None:
        try:
            named = [key for key in self.dashboard.listed_keys() if key.active and key.name == self.options.key_name]
        except RemoteError:
            return
        for key in named:
            self.echo(
                f"PacSpace has a key named {key.name} already ({key.key_id}): delete it there if it is not in use."
            )

    def _keep(self, key: NewKey) -> None:
        try:
            self.file.fill({_KEY: key.full})
        except click.FileError as error:
            lost = f"{error.message}; the new key ({key.key_id}) is lost: delete it in PacSpace's dashboard"
            raise click.FileError(str(self.file.path), hint=lost) from error
        self.echo(f"Created {public_half(key.full)}, kept in {self.file.path} as {_KEY}. PacSpace shows it this once.")
        if self.options.show_key:
            self.echo(key.full)

    # Step 3: the environment

    def _see_environment(self) -> None:
        environment, dashboard = self.options.environment, self.dashboard
        status = dashboard.status(environment)
        if status in {EnvironmentStatus.NONE, EnvironmentStatus.FAILED}:
            if not self._may_provision(status):
                message = f"the {environment} environment is not there: {status}"
                raise NotProvisioned(PACSPACE, message, hint="Run it again with --provision to have it made.")
            dashboard.provision(environment)
            self.echo(f"Asked PacSpace to provision the {environment} environment.")
        dashboard.wait_until_active(
            environment,
            self.options.patience,
            waiting=lambda status: self.echo(f"The {environment} environment is {status}: waiting ..."),
        )
        self.echo(f"The {environment} environment is active.")
        self._keep_address()

    def _keep_address(self) -> None:
        """Keep the API's address. No page of PacSpace documents where it is shown, so its absence is no error."""
        try:
            address = self.dashboard.api_address(self.options.environment)
        except RemoteError:
            address = None
        there = self.file.values().get(_ADDRESS)
        if address is None:
            self.echo(f"If PacSpace's dashboard shows an address of this environment's API, set {_ADDRESS} to it.")
        elif not there or (self.options.replace and there != address):
            self.file.fill({_ADDRESS: address})
            self.echo(f"Its API is at {address}, kept as {_ADDRESS}.")
        elif there != address:
            self.echo(f"Its API is at {address}; {self.file.path} has another {_ADDRESS}: kept.")

    def _may_provision(self, status: EnvironmentStatus) -> bool:
        question = f"The {self.options.environment} environment is not there: {status}. Have it made?"
        return self.options.provision or self.prompts.agrees(question)

    # What else `.env` needs

    def _check_given(self) -> None:
        """Check the secrets that were given beforehand, before anything is sent. Raises ConfigurationError."""
        for name, read in ((STRIPE_KEY, self._stripe_key), (STRIPE_SECRET, parsers.webhook_secrets)):
            if self.prompts.has(name):
                try:
                    read(self.prompts.given[name].strip())
                except ValueError as error:
                    raise ConfigurationError(name, str(error)) from None

    def _stripe_key(self, typed: str) -> None:
        key = parsers.stripe_key(typed).get_secret_value()
        live = self.options.environment is Environment.PRODUCTION
        if is_live(key) != live:
            kinds = ("live", "test") if is_live(key) else ("test", "live")
            message = "is a {} key and PacSpace's is a {} key: both must be of the same mode".format(*kinds)
            raise ValueError(message)

    def _fill_in_stripe(self) -> None:
        there = self.file.values()
        questions = (
            (STRIPE_KEY, "Stripe's API key, sk_… or rk_… (Enter: later)", self._stripe_key),
            (
                STRIPE_SECRET,
                "Signing secret of Stripe's webhook endpoint, whsec_… (Enter: later)",
                parsers.webhook_secrets,
            ),
        )
        for name, question, read in questions:
            if not there.get(name):
                self.file.fill({name: self.prompts.checked_secret(name, question, read)})


def _waiting(progress: Progress) -> NotApproved:
    message = f"access for {progress.email} is requested, and not approved yet"
    hint = "Run the same command again when PacSpace's mail has come: it goes on from here."
    return NotApproved(PACSPACE, message, hint=hint)
