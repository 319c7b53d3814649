"""What was found, put before a person: billed and recorded usage, and what was or would have been held.

Owns the figures of ``pacspace-stripe report`` and their machine-readable forms. Reads the database alone:
neither vendor is asked anything. Does not own how a terminal or a page shows them.
"""
