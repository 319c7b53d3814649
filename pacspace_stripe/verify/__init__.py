"""Verification of the documents we issue, for the person who receives one: no database, no settings, nothing trusted.

``verification`` reads the target, runs the numbered steps and reports what they leave unproven. ``pdf``, ``archive``
and ``page_texts`` read files of unknown origin within limits. ``consistency``, ``selections``, ``printed_text``,
``stamps``, ``bundle`` and ``ledger_files`` are pure: they check what was read. ``online`` asks Stripe and PacSpace.

* No host that a document names is ever contacted.
* A hostile file costs bounded time and memory, and ends as ``UnreadableDocument``.
* A check is here only if no genuine document of any version fails it.
* An answer that is missing leaves a question open; it refutes nothing. Only a contradiction refutes.

The meaning of evidence belongs to the rules of comparison and gate, its format to ``evidence``.
"""

from pacspace_stripe.verify.online import OnlineServices, online_services
from pacspace_stripe.verify.report import Result, Step, StepOutcome, VerificationReport
from pacspace_stripe.verify.verification import verify

__all__ = ["OnlineServices", "Result", "Step", "StepOutcome", "VerificationReport", "online_services", "verify"]
