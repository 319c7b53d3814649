"""Values that every room shares: the words of the field, with the arithmetic that belongs to them.

What belongs here: a value that at least two rooms exchange and that no single room owns. These are windows, quantities,
money, Stripe's and PacSpace's objects as the product knows them, the policy, canonical JSON, and text for people.

What does not: decisions (each room's ``rules``), verdicts and results (``comparison.rules.verdicts``), the state of an
invoice (``gate.rules.state``), the vendors' JSON shapes (``stripe_api``, ``pacspace_api``), and anything that reads a
clock, the environment or a network. The package is pure: import-linter forbids it I/O, and lets it import nothing of
this product but itself.

Quantities are ``Decimal`` and never ``float``; times are aware UTC and end in ``_at``; a kind of a vendor that is not
listed reads as UNKNOWN, and unknown is never none.
"""
