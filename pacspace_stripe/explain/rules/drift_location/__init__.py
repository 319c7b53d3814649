"""The rules that find where and why the two sides of a window differ: both sides' figures in, causes and places out.

``diagnosis.diagnose`` applies them in this order:

1. a meter with an event time window drops all but the newest event of each hour or day (``cause_rules.newest_only``);
2. one fault runs through all that differs: a sign, a unit, everything twice (``pattern_rules``);
3. usage that the ledger accepted a little late, within the window, is put back: it is no fault (``diagnosis``);
4. each part that still differs gets its own cause, by the first rule that holds (``cause_rules``).

A rule that names records names only such as could not add up to the difference by accident.
"""
