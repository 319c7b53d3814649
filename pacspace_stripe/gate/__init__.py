"""The gate: one check takes one invoice one step towards its right end state, from fresh reads, at any time.

``check`` takes the eight steps in order; ``stripe_writes`` has every write; ``rules`` decide. Invariants:

* Only an invoice that the gate held is ever finalized or released by it, and only after a finding of this very check.
* Each write is saved as an intent before Stripe gets it and as done afterwards; the lease is checked before each.
* Silence is no finding: an answer that did not come changes neither verdict nor stamp nor hold.
* A stamp is replaced only by a finding, and evidence is appended only when there is something new to record.
* A preview is the same check with services that record their writes; the early warning is the same comparison with
  another window.
"""
