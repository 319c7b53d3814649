"""Evidence as it is read back: bytes of unknown origin → one strict, frozen document, or UnreadableEvidence.

Owns the format (its JSON Schema is made of these models) and nothing of what evidence means. What cannot be read in
one way only is refused; bytes that can, but are not canonical (RFC 8785), are told apart.
"""
