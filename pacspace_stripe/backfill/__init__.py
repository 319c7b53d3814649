"""The backfill: invoices of the past through the same check, page by page, newest first.

It remembers a place behind the last finished half of a page, and nothing else of its own: whatever was done behind it
before a crash is found done. Without ``apply`` it only reads.
"""

from pacspace_stripe.backfill.bookmarks import Bookmark, Bookmarks
from pacspace_stripe.backfill.patience import Patience, Stopped
from pacspace_stripe.backfill.rows import DonePortion, Paper, PaperState, Row
from pacspace_stripe.backfill.running import Backfill

__all__ = ["Backfill", "Bookmark", "Bookmarks", "DonePortion", "Paper", "PaperState", "Patience", "Row", "Stopped"]
