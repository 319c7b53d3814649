"""Evidence: the document that says what was compared, its format, and the dispute bundle."""
