"""Worlds drawn from a seed: what is planned, how it is played, and what has to be true of it afterwards.

A plan is data: it prints as a list of what happens, and shrinks by leaving things out. Playing it uses both simulators
and the product over one clock; the judges then look at the simulators' own state and at every request that was made.
"""
