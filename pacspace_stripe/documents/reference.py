"""What each template may use, read from the value models themselves: the text of ``templates/README.md``."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from pacspace_stripe.documents.charts import CHART_TEMPLATE, ChartValues, ChartWindowValues
from pacspace_stripe.documents.days import DayValues
from pacspace_stripe.documents.footers import FOOTER_TEMPLATE, FooterValues, FooterWindowValues
from pacspace_stripe.documents.overlay.strips import OVERLAY_TEMPLATE, OverlayValues
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE, StatementValues, StatementWindowValues
from pacspace_stripe.documents.summary import SUMMARY_TEMPLATE, SummaryValues, SummaryWindowValues

MODELS: dict[str, tuple[type, ...]] = {
    FOOTER_TEMPLATE: (FooterValues, FooterWindowValues),
    STATEMENT_TEMPLATE: (StatementValues, StatementWindowValues, DayValues),
    OVERLAY_TEMPLATE: (OverlayValues,),
    SUMMARY_TEMPLATE: (SummaryValues, SummaryWindowValues, DayValues),
    CHART_TEMPLATE: (ChartValues, ChartWindowValues, DayValues),
}
"""Template → the models of what it sees, outermost first."""

REPORT_TEMPLATE = "report.html.jinja"
_REPORT = f"""\
## {REPORT_TEMPLATE}

The page of `pacspace-stripe report --format html`. It sees what `--format json` prints, under the same names.
"""
_HEAD = """\
# Templates

The built-in documents. `pacspace-stripe templates export DIR` writes them into a folder of yours; name that folder in
`PACSPACE_STRIPE_TEMPLATES`, and each file there takes the place of the built-in one of its name. Keep only what you
change: the rest stays ours, and gets better with each version. `pacspace-stripe templates check` fills every template
with examples.

- A `.jinja` template can extend ours, block by block: `{% extends "builtin/invoice_footer.txt.jinja" %}`.
- A `.typ` template can import the pieces of ours: `#import "@builtin/statement:1.0.0": *`.
  Packages of `@preview` are not downloaded: what a template imports has to be in the folder.
- `statement_texts.json` need hold only the texts that you change: `{"en": {"title": "Usage report"}}`.
- A folder `fonts` beside them is looked at like `PACSPACE_STRIPE_FONTS`.

A name that does not exist is an error that names template, line and name; so is a file here that no document uses.
`serve` does not start with one, and holds invoices whose footer breaks while it runs. Values are text, never markup.
What is not known is `none`.
"""


def reference() -> str:
    """The whole file, in Markdown."""
    return "\n".join([_HEAD, *(_section(template, models) for template, models in MODELS.items()), _REPORT])


def _section(template: str, models: tuple[type, ...]) -> str:
    parts = [f"## {template}\n"]
    for model in models:
        parts += [f"{meaning_of(model)}\n", "| name | kind | meaning |", "| --- | --- | --- |"]
        parts += [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in variables(model)]
        parts.append("")
    return "\n".join(parts)


def meaning_of(model: type) -> str:
    """The model's own docstring."""
    return inspect.getdoc(model) or ""


def variables(model: type) -> Iterator[tuple[str, str, str]]:
    """Name, kind and meaning of each value, in order; the meaning is the docstring below the field, or empty."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101  # a class's source is one
    for statement, following in pairwise([*definition.body, ast.Pass()]):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind), ast.Expr(value=ast.Constant(value=meaning)):
                yield name, _kind(ast.unparse(kind)), " ".join(str(meaning).split())
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind), _:
                yield name, _kind(ast.unparse(kind)), ""
            case _:
                pass


_KINDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Texts": "texts by name",
    "dict[str, int]": "numbers by name",
}


def _kind(annotation: str) -> str:
    """In words of the templates: ``str | None`` → "text or none"."""
    if annotation.startswith("list["):
        return "list"
    first, *more = annotation.split(" | ")
    return f"{_KINDS[first]} or none" if more else _KINDS[first]
