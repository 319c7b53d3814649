"""Rules of the gate: the invoice state, what to do next, and what is written into an invoice."""
