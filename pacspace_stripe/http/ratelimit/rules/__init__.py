"""Rules of the rate limits: the rate after a 429, and the share of each process in a fleet."""
