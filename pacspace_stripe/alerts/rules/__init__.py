"""Rules of the alerts: which ones are sent, when a delivery is retried, and the text of a message."""
