"""Rules of the comparison: results and reasons, both figures against each other, and the edge of a period."""
