"""Rate limits: the requests per second that each vendor gets from this process and from the fleet."""
