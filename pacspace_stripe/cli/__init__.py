"""The commands, one module each, imported only when its command runs.

An error is one line and a hint on standard error, and with ``--json`` one object ``{"error": {…}}``.

Exit codes: 0 every invoice matched or bills no usage, 1 any drifted or unproven, 2 a wrong setting or argument.
"""

import sys
from importlib import import_module

import click

from pacspace_stripe import __version__
from pacspace_stripe.cli.output import Output, echo_json_error
from pacspace_stripe.errors import ConfigurationError, InvalidInput, NotFound, PacspaceStripeError, RemoteError
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.text import printable

PROGRAM = "pacspace-stripe"
BAD_USAGE = 2
COMMANDS = {
    "onboard": ("onboard", "Get a PacSpace API key into an environment file, step by step."),
    "serve": ("serve", "Receive Stripe's webhooks and gate every metered invoice."),
    "check": ("check", "Compare one invoice with the ledger; --apply to act on it."),
    "release": ("release", "Let a drifted or unproven invoice go, with a written reason."),
    "sweep": ("sweep", "Find, once and now, the invoices that no webhook reported."),
    "backfill": ("backfill", "Compare the invoices of the past; --apply to put the proof on them."),
    "invoices": ("invoices", "List the invoices that the gate checks, with their verdicts."),
    "report": ("report", "Show what was held, or would have been, with the money at stake."),
    "alerts": ("alerts", "List the alerts and their deliveries; --test to send a test message."),
    "audit": ("audit", "Show every write to an invoice, every release with its reason, every alert."),
    "ledger": ("ledger", "Record, read and prove usage in PacSpace, by hand."),
    "explain": ("explain", "Show where and why billed and recorded usage differ, and what can be done."),
    "evidence": ("evidence", "Show what was compared and decided about an invoice; --bundle for a dispute."),
    "statement": ("statement", "Write the usage statement of an invoice as a PDF."),
    "stamp-pdf": ("stamp_pdf", "Put the footer and the evidence into an invoice's PDF."),
    "templates": ("templates", "Export the templates of footer and statement, or try yours."),
    "verify": ("verify", "Check a statement, an invoice, a bundle or a proof root, as its receiver."),
    "capacity": ("capacity", "Show how long a number of renewals takes, if that is in time, what to change."),
    "settings": ("settings", "Show every setting with its meaning and current value."),
    "demo": ("demo", "Play every scenario on this machine and show what became of each invoice."),
    "simulate": ("simulate", "Serve a simulated Stripe and a simulated PacSpace on loopback."),
}
"""The module and the first line of help of each command; ``--help`` imports nothing else, and so stays fast."""


class Commands(click.Group):
    """A group of commands that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"pacspace_stripe.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """No metered invoice leaves Stripe unless the neutral ledger agrees with it.

    Configured by environment variables only: `pacspace-stripe settings` lists them.
    """


def main() -> None:
    """Run the console script. An error is printed as one clear line and a hint, never as a traceback."""
    output = Output()
    try:
        sys.exit(cli.main(prog_name=PROGRAM, standalone_mode=False, obj=output) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        if _wants_json(sys.argv[1:]):
            usage = {"type": type(error).__name__, "message": error.format_message(), "hint": None}
            echo_json_error({"error": {**usage, "exit_code": error.exit_code}}, output)
        else:
            error.show()
        sys.exit(error.exit_code)
    except PacspaceStripeError as error:
        code = BAD_USAGE if isinstance(error, ConfigurationError | InvalidInput | NotFound) else 1
        if _wants_json(sys.argv[1:]):
            echo_json_error({"error": {**error_json(error), "exit_code": code}}, output)
        else:
            lines = [f"{PROGRAM}: {error}", *([f"  {error.hint}"] if error.hint else [])]
            for line in "\n".join(lines).split("\n"):
                click.echo(printable(line), err=True)
        sys.exit(code)


def _wants_json(arguments: list[str]) -> bool:
    """Return whether JSON was asked for. Reads the raw arguments, since wrong ones may be why the command failed."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    pairs = zip(options, [*options[1:], ""], strict=True)
    return "--json" in options or "--format=json" in options or ("--format", "json") in pairs


def error_json(error: PacspaceStripeError) -> dict[str, Json]:
    """Return an error as ``--json`` prints it, in the words that people get."""
    found: dict[str, Json] = {"type": type(error).__name__, "message": str(error), "hint": error.hint or None}
    if isinstance(error, ConfigurationError):
        found["variable"] = error.variable
    if isinstance(error, RemoteError):
        found |= {"service": error.service, "status": error.status, "code": error.code, "request_id": error.request_id}
    return found
