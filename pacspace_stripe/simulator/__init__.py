"""Local, stateful stand-ins for Stripe and PacSpace, for the demo, our tests and our users' tests."""
