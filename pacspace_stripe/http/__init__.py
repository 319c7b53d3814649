"""The one HTTP client of the process: timeouts, retries, rate limits, redaction, error mapping, exact JSON.

Owns how requests travel and how foreign JSON is read. Does not know what is asked of either vendor: that is
``stripe_api`` and ``pacspace_api``.

A call ends by its deadline, even if an answer arrives byte by byte. No error and no log repeats a secret or a body. A
guard (the lease) runs right before the first byte of each try. A request without an answer is repeated only under the
same idempotency key. A 429 is about the rate only where the vendor names it.
"""
