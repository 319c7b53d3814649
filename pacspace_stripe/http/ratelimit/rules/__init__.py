"""Rules of the rate limits: the rate after a refusal, and each process's share of it."""
