"""Rules of the backfill: which invoices it covers, and what it counts."""
