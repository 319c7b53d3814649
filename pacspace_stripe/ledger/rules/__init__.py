"""Rules of the ledger: which deltas belong to a window, and what a record vouches for."""
