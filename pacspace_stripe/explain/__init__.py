"""Why an invoice drifted, and where: both vendors are read within a budget of requests, ``domain.localise`` judges.

Owns: which requests are made, in which order, and when to stop. Does not own: what figures mean, nor what is told.
"""
