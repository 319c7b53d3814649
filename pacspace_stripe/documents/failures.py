"""What goes wrong in a template, as one RenderError: the template's name, the line and the problem."""

from pathlib import Path

from pacspace_stripe.errors import RenderError


def failure(path: Path, line: int | None, problem: str, *hints: str) -> RenderError:
    """The error for the template at ``path``; its hint names the file to correct."""
    where = path.name if line is None else f"{path.name} line {line}"
    return RenderError(f"{where}: {problem}", hint=" ".join([f"Correct {path}.", *hints]))
