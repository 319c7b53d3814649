"""Rules of the evidence: what the document holds, and its hash."""
