"""Rules of the capacity forecast."""
