"""The reference of what each template may use, read from the value models: a part of ``templates/README.md``."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from pacspace_stripe.documents.charts import CHART_TEMPLATE, ChartValues, ChartWindowValues, DayValues
from pacspace_stripe.documents.dispute_summary import SUMMARY_TEMPLATE, SummaryValues, SummaryWindowValues
from pacspace_stripe.documents.footer_text import FOOTER_TEMPLATE, FooterValues, FooterWindowValues
from pacspace_stripe.documents.overlay import OVERLAY_TEMPLATE, OverlayValues
from pacspace_stripe.documents.statement_values import STATEMENT_TEMPLATE, StatementValues, StatementWindowValues

MODELS: dict[str, tuple[type, ...]] = {
    FOOTER_TEMPLATE: (FooterValues, FooterWindowValues),
    STATEMENT_TEMPLATE: (StatementValues, StatementWindowValues, DayValues),
    OVERLAY_TEMPLATE: (OverlayValues,),
    SUMMARY_TEMPLATE: (SummaryValues, SummaryWindowValues, DayValues),
    CHART_TEMPLATE: (ChartValues, ChartWindowValues, DayValues),
}
"""The models of what each template sees, outermost first."""

REPORT_TEMPLATE = "report.html.jinja"
_REPORT = f"""\
### {REPORT_TEMPLATE}

The page of `pacspace-stripe report --format html`. It sees what `--format json` prints, under the same names.
"""
_KINDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Texts": "texts by name",
    "dict[str, int]": "numbers by name",
}


def reference() -> str:
    """Return one section for each template, in Markdown."""
    return "\n".join([*(_section(template, models) for template, models in MODELS.items()), _REPORT])


def _section(template: str, models: tuple[type, ...]) -> str:
    parts = [f"### {template}\n"]
    for model in models:
        parts += [f"{meaning_of(model)}\n", "| name | kind | meaning |", "| --- | --- | --- |"]
        parts += [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in variables(model)]
        parts.append("")
    return "\n".join(parts)


def meaning_of(model: type) -> str:
    """Return the model's own docstring."""
    return inspect.getdoc(model) or ""


def variables(model: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, kind and meaning of each value, in order; the meaning is the docstring below the field, or empty."""
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


def _kind(annotation: str) -> str:
    """Return a type in the words of the templates: ``str | None`` is "text or none"."""
    if annotation.startswith("list["):
        return "list"
    first, *more = annotation.split(" | ")
    return f"{_KINDS[first]} or none" if more else _KINDS[first]
