"""Rules of the gate: the invoice state, decisions about it, and what is written into an invoice."""
