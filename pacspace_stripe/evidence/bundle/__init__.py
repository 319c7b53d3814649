"""The dispute bundle: all that speaks for one invoice, in one ZIP, the same bytes for the same answers.

Owns what goes in, under which names, and that nothing goes missing unsaid. Does not own the documents in it
(``statements``, ``documents``), nor their judgement (``verification`` reads a bundle without any of this).
"""
