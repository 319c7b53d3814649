"""Shared helpers of the tests: worlds, processes, recordings, expectations."""
