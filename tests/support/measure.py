"""Measures of the house: ``make measure``, or ``python -m tests.support.measure --room gate`` for one room.

They are targets to look at, not gates to game. Sizes and counts leave the simulator out; names and openings include it.
"""

import argparse
import ast
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).parents[2]
PRODUCT = ("pacspace_stripe", "webhooks")
BAD_OPENINGS = re.compile(r"(What|The same|It|Of|As|How|Whether|Those|With|Where|When|Why|Who|Whose|Which)[ ',:]")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file of Python: its path below the root, its text and the nodes of its syntax tree."""

    path: Path
    text: str
    nodes: tuple[ast.AST, ...]

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in self.nodes if isinstance(node, FUNCTIONS)]


def modules(*folders: str) -> list[Module]:
    """Return every module below the folders, parsed."""
    found = sorted((path, path.read_text()) for folder in folders for path in (ROOT / folder).rglob("*.py"))
    nodes = ((path, text, tuple(ast.walk(ast.parse(text)))) for path, text in found)
    return [Module(path=path.relative_to(ROOT), text=text, nodes=parsed) for path, text, parsed in nodes]


def double_classes(product: Iterable[Module]) -> list[str]:
    """Return a line per class name that is defined more than once."""
    places = defaultdict(list)
    for module in product:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(module.path))
    return [f"class {name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]


def badly_opened(product: Iterable[Module]) -> list[str]:
    """Return a line per docstring, attributes' included, that opens with a word that style forbids."""
    said = (
        (f"{module.path}:{node.lineno}", node.value.value.strip())
        for module in product
        for node in module.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )
    return [f"{place}: {text.splitlines()[0]}" for place, text in said if BAD_OPENINGS.match(text)]


def main() -> None:
    """Print the figures, then each class name and docstring that breaks a rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", help="only this folder of the package, such as gate")
    room = parser.parse_args().room
    every = modules(f"pacspace_stripe/{room}") if room else modules(*PRODUCT)
    product = [module for module in every if room or "simulator" not in module.path.parts]
    sizes = {str(module.path): module.text.count("\n") for module in product}
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for module in product for node in module.functions]
    tokens = (tokenize.generate_tokens(iter(module.text.splitlines(keepends=True)).__next__) for module in product)
    comments = sum(token.type == tokenize.COMMENT for line in tokens for token in line)
    uses = [Counter(getattr(node, "id", getattr(node, "attr", "")) for node in module.nodes) for module in product]
    private = [
        names[node.name]
        for module, names in zip(product, uses, strict=True)
        for node in module.functions
        if node.name.startswith("_") and not node.name.endswith("__")
    ]
    lines, longest, deciles = sum(sizes.values()), max(sizes, key=lambda path: sizes[path]), quantiles(lengths, n=10)
    tests = sum(module.text.count("\n") for module in modules("tests"))
    problems = (*double_classes(modules(*PRODUCT)), *badly_opened(every))
    figures = f"""\
lines / files without the simulator     {lines:,} / {len(sizes)}
median / 90th / longest function        {deciles[4]:.0f} / {deciles[8]:.0f} / {max(lengths)}
longest file                            {sizes[longest]} ({longest})
comments                                {100 * comments / lines:.1f} %
private functions used in one place     {100 * private.count(1) / max(len(private), 1):.0f} % of {len(private)}
class names defined more than once      {len(double_classes(modules(*PRODUCT)))}
docstrings that open badly              {len(badly_opened(every))}
tests : product                         {tests / lines:.2f}
README.md                               {(ROOT / "README.md").stat().st_size:,} bytes"""
    print(figures, *problems, sep="\n")  # noqa: T201 - a command that prints


if __name__ == "__main__":
    main()
