"""The backfill: invoices of the past through the same check, page by page, newest first.

It remembers a place behind the last finished half of a page, and nothing else of its own: whatever was done behind it
before a crash is found done. Without ``apply`` it only reads.
"""
