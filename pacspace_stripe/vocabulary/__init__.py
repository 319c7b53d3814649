"""Values that every room speaks in: windows, quantities, money, Stripe's and PacSpace's objects, verdicts, policy."""
