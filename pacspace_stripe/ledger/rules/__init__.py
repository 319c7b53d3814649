"""Rules of the ledger: the clock that places a delta (``attribution``), and the deltas that count (``selection``)."""
