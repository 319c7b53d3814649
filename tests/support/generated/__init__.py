"""Worlds drawn from a seed: their plans, the player, and the properties that must hold afterwards.

A plan is data: it prints as a list of what happens, and shrinks by leaving things out. Playing it uses both simulators
and the product over one clock; the judges then look at the simulators' own state and at every request that was made.
"""
