"""Rate limits: how many requests a second each vendor gets from this process and from the fleet."""
