"""Alerts delivered: to a webhook signed as Standard Webhooks are, and to Slack or what speaks its language.

Owns how a message travels and what becomes of it. What is worth telling is ``checks/telling.py``; which repeats are
left out and when a delivery is tried again is ``domain/alerting.py``; what a message says is ``domain/messages.py``.
"""
