"""Answers from options, the environment, standard input, or a person. Secrets are never arguments."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import click

from pacspace_stripe.cli.output import echo_line
from pacspace_stripe.errors import ConfigurationError
from pacspace_stripe.vocabulary.text import printable

PASSWORD, MFA_CODE = "PACSPACE_DASHBOARD_PASSWORD", "PACSPACE_DASHBOARD_MFA_CODE"
APPROVAL_TOKEN = "PACSPACE_DASHBOARD_APPROVAL_TOKEN"  # noqa: S105  # a variable's name
STRIPE_KEY, STRIPE_SECRET = "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"
SECRETS = (PASSWORD, MFA_CODE, APPROVAL_TOKEN, STRIPE_KEY, STRIPE_SECRET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Answers that were given beforehand, and prompts for the rest if a person is at the terminal."""

    interactive: bool
    given: Mapping[str, str] = field(repr=False)
    """Secrets by the names of their variables."""

    def has(self, name: str) -> bool:
        """Return whether a secret was given beforehand."""
        return bool(self.given.get(name))

    def secret(self, name: str, question: str, *, twice: bool = False) -> str:
        """Return a required secret; a person types it unseen. Raises UsageError without a person."""
        if self.has(name):
            return self.given[name]
        if not self.interactive:
            message = f"{question}: set {name}, or pass it with --secrets-stdin"
            raise click.UsageError(message)
        return str(click.prompt(printable(question), hide_input=True, confirmation_prompt=twice))

    def optional_secret(self, name: str, question: str) -> str:
        """Return a secret that may be left out: it is empty then."""
        if self.has(name):
            return self.given[name]
        if not self.interactive:
            return ""
        return str(click.prompt(printable(question), hide_input=True, default="", show_default=False))

    def checked_secret(self, name: str, question: str, parse: Callable[[str], object]) -> str:
        """Return an optional secret that ``parse`` accepts; ask a person until it does. Raises ConfigurationError."""
        while True:
            answer = self.optional_secret(name, question).strip()
            try:
                if answer:
                    parse(answer)
            except ValueError as error:
                if self.has(name) or not self.interactive:
                    raise ConfigurationError(name, str(error)) from None
                echo_line(f"  It {error}. Try again.", err=True)
            else:
                return answer

    def text(self, given: str | None, option: str, question: str, default: str | None = None) -> str:
        """Return an answer that is no secret. Raises UsageError without an option, a default or a person."""
        if given:
            return given
        if self.interactive:
            return str(click.prompt(printable(question), default=default))
        if default:
            return default
        message = f"{question}: name it with {option}"
        raise click.UsageError(message)

    def agrees(self, question: str) -> bool:
        """Ask a yes-or-no question; the answer is no without a person."""
        return self.interactive and click.confirm(printable(question))


def prompts(environ: Mapping[str, str], *, no_input: bool, secrets_stdin: bool) -> Prompts:
    """Return prompts with the secrets of the environment and, if asked for, ``NAME=value`` lines of standard input."""
    given = {name: environ[name] for name in SECRETS if environ.get(name)}
    if secrets_stdin:
        given |= _from_stdin()
    return Prompts(interactive=not no_input and not secrets_stdin and sys.stdin.isatty(), given=given)


def _from_stdin() -> dict[str, str]:
    if sys.stdin.isatty():
        message = "--secrets-stdin reads NAME=value lines from a pipe or a file: on a terminal they would show"
        raise click.UsageError(message)
    found: dict[str, str] = {}
    # Not `splitlines`: a password may contain what Unicode calls a line's end.
    for number, ended in enumerate(sys.stdin.read().split("\n"), start=1):
        line = ended.removesuffix("\r")
        name, separator, value = line.partition("=")
        if line.strip() and (not separator or name.strip() not in SECRETS):
            message = f"line {number} of standard input is not NAME=value with one of: {', '.join(SECRETS)}"
            raise click.UsageError(message)
        if separator:
            found[name.strip()] = value
    return found


def public_half(key: str) -> str:
    """Return a key without its secret half; of a text in another form, return nothing but an ellipsis."""
    kind = next((kind for kind in ("pk_test_", "pk_live_") if key.startswith(kind)), "")
    public, dot, _ = key.partition(".")
    return f"{public}.…" if kind and dot else f"{kind}…"
