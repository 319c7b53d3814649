"""Rules of the alerts: which ones are sent, when a delivery is retried, and what a message says."""
