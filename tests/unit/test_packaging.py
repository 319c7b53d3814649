"""Every imported package is declared and pinned, and nothing in the tree depends on where it was written."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = ("pacspace_stripe", "webhooks")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The distributions that our source imports."""
    nodes = [node for folder in OURS for path in (ROOT / folder).rglob("*.py") for node in ast.walk(parsed(path))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    foreign = {name.partition(".")[0] for name in names} - {*OURS, *sys.stdlib_module_names}
    distributions = packages_distributions()
    found = {canonical(distribution) for name in foreign for distribution in distributions[name]}
    return found - {"pydantic-core"}  # pydantic's other half: one never comes without the other


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def declared(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in requirements}


def test_every_package_we_import_is_declared() -> None:
    assert imported() - declared(PROJECT["dependencies"]) == set()


def test_every_declared_package_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", line)] == []
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"], "hatchling", "editables"]
    assert declared(wanted) <= {line.partition("==")[0] for line in lines}


def test_the_tree_names_no_machine_and_no_registry() -> None:
    forbidden = re.compile(r"/(?:root|home/[a-z]+|work/(?:main|shared))/|(?:index-|registry\.|//pypi\.)(?:url|org)")
    assert [path for path in tree(ROOT) if forbidden.search(path.read_text(errors="replace"))] == []


def tree(folder: Path) -> Iterator[Path]:
    """Files that belong to the project; folders with a dot belong to tools, but for two."""
    for path in folder.iterdir():
        if path.name == ".git":  # a file in a worktree
            continue
        if path.is_file() and path.suffix not in {".db", ".pyc"} and not path.name.startswith(".coverage"):
            yield path
        elif path.is_dir() and (path.name in {".ci", ".github"} or path.name[0] not in "._"):
            yield from tree(path)
