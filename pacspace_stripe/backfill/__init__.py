"""The backfill: invoices of the past through the gate's own check, page by page, newest first.

Invariants:

* A stored position stands behind a finished half of a page. Everything that a crash left undone behind it is checked
  again, and found done if it was.
* Without ``apply``, nothing is written anywhere.
* A rate limit or a missing answer is waited for and retried: it never counts as a finding about an invoice.
* Memory does not grow with the number of invoices: three pages at a time, and counts.
"""
