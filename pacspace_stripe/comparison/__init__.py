"""The comparison of billed and recorded usage, per ledger account and window."""
