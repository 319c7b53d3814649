"""Capacity: how long the gate takes for a number of renewals."""
