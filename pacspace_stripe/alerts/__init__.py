"""Alerts: one message per problem of an invoice, to a signed webhook (Standard Webhooks) and to Slack.

``rules.alert`` says what an alert is, when it is throttled and when a failed delivery is retried; ``rules.messages``
writes the messages; ``delivery`` sends them. Which findings cause an alert is decided by ``gate``.

Invariants:

* An alert and the invoice state that remembers it are written in one transaction: a crash neither loses nor doubles it.
* Each delivery is a row with a due time and a lease in ``store.alerts``, found by the loop of ``worker``. A receiver
  may get a message twice, after a crash or a time-out, and always under the same id.
* Deliveries never delay a check: each channel has its own thread and connections.
* A message carries ids, figures and sentences, never a secret of either vendor.
"""
