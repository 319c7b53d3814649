"""The one story: take one invoice one step towards its right end state, from fresh reads, at any time."""
