"""Where and why two records of the same usage differ: both sides' figures in, the cause and the places out. Pure.

First what a meter with an event time window drops (``newest``), then the rules for a fault that runs through the
window (``patterns``); then what is no fault is put aside (``lag``); then each part that differs is looked at
(``singles``, with ``edges`` and ``mirrors``), in the order written there.
"""

from pacspace_stripe.explain.rules.drift_location.diagnosis import Diagnosis, diagnose
from pacspace_stripe.explain.rules.drift_location.figures import (
    Bucket,
    Entry,
    Neighbour,
    Piece,
    Situation,
    bucket,
    joined,
)
from pacspace_stripe.explain.rules.drift_location.lag import around
from pacspace_stripe.explain.rules.drift_location.parts import DAY, HOUR, filled, hours_tell, parts_of, records_by_day
from pacspace_stripe.explain.rules.drift_location.patterns import pattern

__all__ = [
    "DAY",
    "HOUR",
    "Bucket",
    "Diagnosis",
    "Entry",
    "Neighbour",
    "Piece",
    "Situation",
    "around",
    "bucket",
    "diagnose",
    "filled",
    "hours_tell",
    "joined",
    "parts_of",
    "pattern",
    "records_by_day",
]
