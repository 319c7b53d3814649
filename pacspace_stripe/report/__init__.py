"""The report: billed and recorded usage, and what the gate held or would have held.

Owns the figures of ``pacspace-stripe report`` and their machine-readable forms. Reads the database alone: neither
vendor is asked anything. Does not own how a terminal or a page shows them.
"""
