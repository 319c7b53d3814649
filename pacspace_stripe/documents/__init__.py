"""The documents people read: the footer's text (Jinja2), statement and dispute summary (Typst), the picture of a drift.

Owns finding templates and turning plain values into text and PDF, the same bytes for the same values. Does not own what
is said (the caller fills the views), nor where in an invoice's footer the text goes (``domain.footer``).
"""
