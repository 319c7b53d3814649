"""Events of both vendors: signed bodies, the ids that they carry, and what each event wakes."""
