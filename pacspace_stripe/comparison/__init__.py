"""The comparison of billed and recorded usage, per ledger account and window.

``comparer`` reads both sides of one invoice; ``coverage`` finds other invoices that bill the same; ``finding`` chooses
the best of several comparisons and adds a waiver and the proof; ``rules`` judge. Opposite errors in two windows never
cancel. A vendor that does not answer is no finding, and a difference counts only once nothing has to settle any more.
"""
