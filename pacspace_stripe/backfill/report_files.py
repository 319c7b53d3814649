"""The reports of a backfill for machines, CSV and JSON, written portion by portion."""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from pacspace_stripe.backfill.results import BackfillRow
from pacspace_stripe.vocabulary.canonical_json import Json
from pacspace_stripe.vocabulary.windows import iso

_OF_INVOICE = ("invoice", "status", "created", "customer", "subscription", "verdict", "reason")
_OF_WINDOW = ("account", "meter", "start", "end", "billed", "recorded", "count")
COLUMNS = (*_OF_INVOICE, *_OF_WINDOW, "window_reason", "stamped", "detail", "pdf")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters that a spreadsheet takes for the start of a formula, in text that is not ours."""


@dataclass(slots=True)
class CsvReport:
    """The CSV report: one row per invoice and window; an invoice without windows has one row without window columns."""

    _file: TextIOWrapper

    @classmethod
    def at(cls, path: Path, kept_bytes: int) -> Self:
        """Start an empty file, or continue after ``kept_bytes`` of an earlier run; later rows are written again."""
        going_on = kept_bytes > 0 and path.exists() and path.stat().st_size >= kept_bytes
        file = path.open("r+" if going_on else "w", encoding="utf-8", newline="")
        if going_on:
            file.truncate(kept_bytes)
            file.seek(0, os.SEEK_END)
        else:
            csv.writer(file).writerow(COLUMNS)
        return cls(file)

    def write(self, rows: Iterable[BackfillRow]) -> int:
        """Write the rows of one portion to the disk; return the file's length in bytes."""
        text = StringIO()
        csv.writer(text).writerows(line for row in rows for line in _lines(row))
        self._file.write(text.getvalue())
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def _lines(row: BackfillRow) -> Iterator[list[object]]:
    result = row.result
    of_invoice = [
        row.invoice_id,
        row.status.value,
        iso(row.created_at) if row.created_at else "",
        row.customer_id or "",
        row.subscription_id or "",
        row.outcome.value,
        result.reason.value if result.reason else "",
    ]
    nothing: Mapping[str, Any] = {}
    for window in result.windows or (nothing,):
        figures = ["" if window.get(name) is None else window[name] for name in _OF_WINDOW]
        stamped, pdf = "yes" if row.stamped else "no", row.pdf.name if row.pdf else ""
        yield [*of_invoice, *figures, window.get("reason", ""), stamped, _as_text(result.detail), pdf]


def _as_text(detail: str) -> str:
    """Return a detail that no spreadsheet takes for a formula."""
    return f"'{detail}" if detail.startswith(_FORMULA) else detail


@dataclass(slots=True)
class JsonReport:
    """The JSON report, ``{"invoices": […], "summary": {…}}``, which is never in memory as a whole."""

    _out: TextIO
    _begun: bool = False

    def write(self, rows: Iterable[BackfillRow]) -> None:
        """Write the rows of one portion, in the shape of ``check --json``."""
        for row in rows:
            shown: dict[str, Json] = {
                **row.result.as_json(),
                "status": row.status.value,
                "created": iso(row.created_at) if row.created_at else None,
                "customer": row.customer_id,
                "outcome": row.outcome.value,
            }
            if row.pdf:
                paper = row.pdf
                shown["pdf"] = {
                    "state": paper.state.value,
                    "name": paper.name or None,
                    "problem": paper.problem or None,
                }
            self._out.write(",\n" if self._begun else '{"invoices": [\n')
            self._out.write(json.dumps(shown, ensure_ascii=False))
            self._begun = True

    def end(self, summary: Mapping[str, Json]) -> None:
        """Write the rest of the document, with the summary of a finished or interrupted run."""
        self._out.write("" if self._begun else '{"invoices": [')
        self._out.write(f'\n],\n"summary": {json.dumps(summary, indent=2, ensure_ascii=False)}}}\n')
        self._out.flush()
