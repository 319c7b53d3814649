"""Rules of the comparison: equal, different, not settled, or at the edge of a period."""
