"""Rules that explain a drift: its cause, its place, and the corrections that are still possible."""
