"""Usage as PacSpace records it: the balance and the settlement protocol, and which deltas count."""
