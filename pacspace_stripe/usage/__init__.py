"""Usage as Stripe bills it: an invoice's lines, prices and meters, read into quantities per meter and window."""
