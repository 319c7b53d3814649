"""PacSpace's side of the comparison: recorded usage, by the balance or the settlement protocol.

``ledgers`` reads it through one interface; ``rules`` choose which deltas count, and which clock places them. Figures of
the ledger are raw and signed; only ``UsageSign`` turns them into usage. The balance, PacSpace's compare and the proof
are always about all deltas of a scope, so what does not count stays named beside what does.
"""
