"""Rules of the report: its lines, its checklist and its trend."""
