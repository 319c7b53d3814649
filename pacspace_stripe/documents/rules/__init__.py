"""Rules of the documents: the vendor's letterhead."""
