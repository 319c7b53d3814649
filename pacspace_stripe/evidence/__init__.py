"""Evidence: the document that says what was compared, how it is read back, and the dispute bundle made around it.

``rules.document`` makes the document of a decision and its place in the subscription's chain; ``models`` and ``reader``
read one back from bytes of unknown origin, strictly; ``dispute_bundle`` puts the chain, both vendors' answers and the
documents into one ``archive``.

Stored evidence is never changed: its bytes are what was hashed and stamped. A document of an earlier version stays
valid, and a new key appears only where it says something new.
"""
