"""Stripe's side of the comparison: what an invoice bills per meter, window and ledger account.

``billing`` reads prices, meters and what else the lines need; ``rules`` turn the lines into usage. Two rules hold for
every line: what is not recognised is a problem of its own and never "nothing metered", and a quantity is compared only
if it is known to be raw usage, from the line itself or from its meter's summaries.
"""
