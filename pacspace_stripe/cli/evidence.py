"""``evidence``: the evidence of one invoice, and the bundle for a dispute about it."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from pacspace_stripe.cli.arguments import INVOICE
from pacspace_stripe.cli.output import JSON_OPTION, echo_json, echo_line, echo_table, is_stdout, write_whole
from pacspace_stripe.cli.results import echo_windows
from pacspace_stripe.cli.session import database, parts
from pacspace_stripe.comparison.rules.verdicts import Verdict
from pacspace_stripe.errors import NotFound
from pacspace_stripe.evidence.rules.document import Evidence, confirmation_of
from pacspace_stripe.store import Store, evidence_elsewhere
from pacspace_stripe.vocabulary.text import plural

_ELSEWHERE = (
    "note: {invoice} carries the stamp of evidence {sha256}, which is not in this database."
    " What follows was compared again, and found to agree with that stamp; it is not what is stamped."
)
_COLOURS = {"matched": "green", "waived": "yellow"}


@click.command()
@INVOICE
@click.option("--all", "every", is_flag=True, help="Show every finding about the invoice, not only the decision.")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a ZIP of all records about this invoice, with a page for a dispute's reviewer; - for standard output.",
)
@JSON_OPTION
def evidence(invoice: str, *, every: bool, bundle: Path | None, as_json: bool) -> None:
    """Show what was compared and decided about an invoice. Needs the database alone.

    --json prints the evidence to the byte, without a line end: its SHA-256 is the one on the invoice. With --all it
    prints one document per line. --bundle asks Stripe and PacSpace too; it lists what they did not answer as missing,
    and notes where the ledger has changed since.

    Exit code 0: matched or waived; 1: drifted or unproven. With --bundle, 0: complete; 1: something is missing or
    noted.
    """
    if bundle is not None:
        if every:
            message = "--all and --bundle do not go together: a bundle has everything"
            raise click.UsageError(message)
        if as_json and is_stdout(bundle):
            message = "--json and --bundle - both write to standard output"
            raise click.UsageError(message)
        _bundle(invoice, bundle, as_json=as_json)
        return
    with database() as store:
        elsewhere = store.stamped_elsewhere(invoice)
        decision = _decision(store, invoice, elsewhere)
        links = store.chains.of_job(invoice)
        job = store.jobs.find(invoice)
        last = len(store.chains.of_chain(json.loads(decision.document)["chain"]["id"]))
    if elsewhere:
        echo_line(_ELSEWHERE.format(invoice=invoice, sha256=elsewhere), fg="yellow", err=True)
    if job is not None and job.state.stamp and job.state.stamp.without_footer:
        echo_line(f"stamped without a footer: {job.state.stamp.without_footer}", fg="yellow", err=True)
    if as_json:
        # The bytes as they are: `echo_json` would change them, and with them their SHA-256.
        sys.stdout.buffer.write(b"".join(link.document + b"\n" for link in links) if every else decision.document)
    elif every:
        _echo_history(links)
    else:
        _echo_decision(decision, confirmation_of(links, decision.sha256), last)
    sys.exit(0 if Verdict(json.loads(decision.document)["decision"]["verdict"]).may_leave else 1)


def _decision(store: Store, invoice: str, elsewhere: str | None) -> Evidence:
    try:
        return store.chains.decision_of(invoice)
    except NotFound:
        if elsewhere:
            raise evidence_elsewhere(invoice) from None
        raise


def _bundle(invoice: str, target: Path, *, as_json: bool) -> None:

    with parts() as app:
        made = app.dispute_bundles.of_invoice(invoice, made_at=app.now())
    write_whole(target, made.content)
    if as_json:
        echo_json(made.manifest)
    else:
        echo_line(f"{target}: {len(made.content):,} bytes, {plural(len(made.files), 'file')}", err=is_stdout(target))
    for lack in made.missing:
        echo_line(f"missing: {lack.name}: {lack.why}", fg="red", err=True)
    for note in made.notes:
        echo_line(f"note: {note}", fg="yellow", err=True)
    sys.exit(1 if made.missing or made.notes else 0)


def _echo_decision(decision: Evidence, confirmed: Evidence | None, last: int) -> None:
    """Print the decision for people: verdict and reason, both figures, their proofs, and its place in the chain."""
    document: dict[str, Any] = json.loads(decision.document)
    found, policy, chain = document["decision"], document["policy"], document["chain"]
    color = _COLOURS.get(found["verdict"], "red")
    echo_line(f"{document['invoice']}  {found['verdict']} ({found['reason']})", bold=True, fg=color)
    _field("customer", f"{document['customer']}, {'live' if document['livemode'] else 'test'} mode")
    _field("decided", f"{_moment(document['decided_at'])}, of the {document['invoice_status']} invoice")
    _field("confirmed", _confirmed(document, confirmed))
    if document["waiver"]:
        waiver = document["waiver"]
        _field("waived", f"by {waiver['by']}, {_moment(waiver['at'])}: {waiver['reason']}")
    ledger = policy.get("ledger", "balance")
    tolerance = f"tolerance {policy['tolerance']}"
    _field(
        "policy",
        f"{policy['mode']}, fail {policy['fail']}, finalize {policy['finalize']}, {tolerance}, {ledger} ledger",
    )
    echo_windows(document["windows"])
    for window in document["windows"]:
        _echo_proof(window)
    before = chain["previous_sha256"] or "none, it is the first"
    _field("chain", f"{chain['id']}, link {chain['sequence']} of {last}")
    _field("before it", before)
    _field("SHA-256", decision.sha256)


def _confirmed(document: dict[str, Any], confirmed: Evidence | None) -> str:
    if document["invoice_status"] != "draft":
        return "the decision is about the final invoice itself"
    if confirmed is None:
        return "not yet: its final lines were not compared with this decision"
    final = json.loads(confirmed.document)
    return f"{_moment(final['decided_at'])}, the {final['invoice_status']} invoice bills the same"


def _echo_proof(window: dict[str, Any]) -> None:
    proof, record = window["proof"], window.get("record")
    if record:
        state = "verified" if record["verified"] else "not verified"
        _field("proof", f"record {record['key']}: {record['bits']} in {record['writes']} writes, {state}")
    if proof:
        checked = "cross-checked with public verify" if proof["cross_checked"] else "public verify named no figures"
        stale = ", covers other records than were compared" if proof["stale"] else ""
        _field("proof", f"{proof['proof_root']} ({window['meter']})")
        _field("", f"{plural(proof['record_count'], 'record')}, net {proof['net_change']}, {checked}{stale}")
        _field("", proof["verify_url"])


def _echo_history(links: list[Evidence]) -> None:
    """Print every link about the invoice, one per line, in order."""
    documents = [(link, json.loads(link.document)) for link in links]
    echo_table(
        ("link", "decided", "invoice", "verdict", "reason", "SHA-256"),
        [
            (
                str(document["chain"]["sequence"]),
                _moment(document["decided_at"]),
                document["invoice_status"],
                "confirmed" if document.get("confirms") else document["decision"]["verdict"],
                document["decision"]["reason"],
                link.sha256,
            )
            for link, document in documents
        ],
        right=frozenset({"link"}),
    )


def _field(name: str, text: str) -> None:
    echo_line(f"  {name:<10} {text}")


def _moment(written: str) -> str:
    """Return an ISO 8601 time such as ``2026-11-01T01:00:00.5Z`` for people, to the second."""
    return f"{written[:10]} {written[11:19]} UTC"
