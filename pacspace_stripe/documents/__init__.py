"""The documents: invoice footer, usage statement, dispute summary, chart of a drift, and the stamped invoice PDF.

A document is made in two steps: ``views`` reads an evidence document into typed values, and one module for each
document (``footer_text``, ``statement_values``, ``dispute_summary``, ``charts``) turns them into the texts that its
template sees. ``templates`` fills Jinja2, ``typesetting`` compiles Typst, ``renderer`` is the entry to both.
``statement`` and ``stamped_pdf`` are what the commands call: they find the evidence and ask the vendors; ``overlay``
puts a stamp on any PDF.

* The same input gives the same bytes: no clock, no machine's fonts, no network.
* A value is text, never markup, and stays on one line: a customer's name cannot add lines to a document.
* A document shows the evidence's figures. What it asks Stripe and PacSpace for besides (``statement``) is optional.
* The names of template variables are public: users' own templates read them (templates/README.md).
"""
