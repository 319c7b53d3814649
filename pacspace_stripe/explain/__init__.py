"""Explanation of a drift: its place, its cause, and the corrections that are still possible.

A drift is explained once, after the gate acted on it. An explanation decides nothing: whatever goes wrong here, the
verdict, the hold and the next check stay what they are. It only reads, at most 60 requests per invoice, and gives way
to the requests of checks.

``explainer`` is the entry and takes the steps in order; ``window_search`` reads the days and hours of one window,
``neighbours`` finds other accounts and meters that may have the usage, ``meter_account`` reads both sides of one of
them. ``rules`` finds the causes in the figures (``drift_location``), puts the explanation in words and plans
corrections; it reads nothing.
"""
