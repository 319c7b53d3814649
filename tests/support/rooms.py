"""The import contract of the house: dependencies point inwards, room by room."""

from typing import Any, cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

RULES = "rules"
"""Room of every module under a ``rules`` package, whatever feature it belongs to."""


class RoomsContract(Contract):
    """Keep each room from importing a room above it, or one beside it.

    A room is a module's first component below the package, or ``rules`` for whatever lies under a ``rules`` package.
    ``floors`` lists the rooms from the top; the rooms of one line must not import each other.
    """

    type_name = "rooms"
    package = fields.StringField()
    floors = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - import-linter's signature
        floor_of = {room: floor for floor, line in enumerate(cast("list[str]", self.floors)) for room in line.split()}
        unknown, wrong = set(), []
        for importer in sorted(self._modules(graph)):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if not imported.startswith(f"{self.package}."):
                    continue
                here, there = self._room(importer), self._room(imported)
                unknown |= {here, there} - set(floor_of)
                if here != there and floor_of.get(here, 0) >= floor_of.get(there, 0):
                    wrong.append(f"{importer} imports {imported}: {here} stands beside or below {there}")
        problems = [f"{room} has no floor" for room in sorted(unknown)] or wrong
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        problems: list[Any] = check.metadata["problems"]
        for problem in problems:
            output.print_error(str(problem), bold=False)

    def _modules(self, graph: ImportGraph) -> set[str]:
        return {module for module in graph.modules if module.startswith(f"{self.package}.")}

    def _room(self, module: str) -> str:
        parts = module.split(".")[1:]
        return RULES if RULES in parts else parts[0]
