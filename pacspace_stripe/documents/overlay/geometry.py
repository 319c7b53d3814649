"""Where a strip goes below a page as it is shown, in the page's own units. Pure.

A page's boxes are in its user space; ``/Rotate`` turns it clockwise for showing, and ``/UserUnit`` says how many points
a unit is (PDF 32000-1, 7.7.3.3 and 14.11.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TypeAlias

Matrix: TypeAlias = tuple[float, float, float, float, float, float]

_QUARTER, _TURN = 90, 360
_FAR = 15_000.0
"""Units; farther than any page reaches, by the PDF format's own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of a page, in its units."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def spanned(cls, corners: Sequence[float]) -> "Box":
        """From any two opposite corners, as PDF allows."""
        x1, y1, x2, y2 = corners
        return cls(left=min(x1, x2), bottom=min(y1, y2), right=max(x1, x2), top=max(y1, y2))

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """As PDF writes it."""
        return (self.left, self.bottom, self.right, self.top)

    def within(self, other: "Box") -> "Box | None":
        """What both have in common, if that has an area."""
        common = Box(
            left=max(self.left, other.left),
            bottom=max(self.bottom, other.bottom),
            right=min(self.right, other.right),
            top=min(self.top, other.top),
        )
        return common if common.width > 0 and common.height > 0 else None

    def around(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            left=min(self.left, other.left),
            bottom=min(self.bottom, other.bottom),
            right=max(self.right, other.right),
            top=max(self.top, other.top),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of a page: the box that is shown, turned clockwise by ``turn`` degrees; ``unit`` points a unit."""

    box: Box
    turn: int
    unit: float

    @classmethod
    def of(cls, box: Box, *, rotate: float, unit: float) -> "Sight":
        """A rotation that is no multiple of 90 and a unit that is not positive are ignored, as viewers do."""
        turn = int(rotate) % _TURN if rotate % _QUARTER == 0 else 0
        return cls(box=box, turn=turn, unit=unit if unit > 0 else 1.0)

    @property
    def width(self) -> float:
        """As shown, in points."""
        return self.unit * (self.box.width if self.turn in {0, 180} else self.box.height)

    def grown(self, height: float) -> Box:
        """The box with at least ``height`` points more at what is shown as its bottom."""
        return self.reaching(self.box, height)

    def reaching(self, box: Box, height: float) -> Box:
        """Another box of the page, made to reach the far edge of a strip of ``height`` points."""
        more = self._units(height)
        match self.turn:
            case 90:
                return replace(box, right=max(box.right, self.box.right + more))
            case 180:
                return replace(box, top=max(box.top, self.box.top + more))
            case 270:
                return replace(box, left=min(box.left, self.box.left - more))
            case _:
                return replace(box, bottom=min(box.bottom, self.box.bottom - more))

    def _units(self, height: float) -> float:
        """Points as whole units: nothing that a page shows moves by a part of a pixel."""
        return ceil(round(height / self.unit, 3))

    def matrix(self, height: float, scale: float) -> Matrix:
        """Puts a drawing that starts at 0, 0 upright into the strip's lower left corner, its size times ``scale``."""
        grown, size = self.grown(height), scale / self.unit
        match self.turn:
            case 90:
                return (0, size, -size, 0, grown.right, grown.bottom)
            case 180:
                return (-size, 0, 0, -size, grown.right, grown.top)
            case 270:
                return (0, -size, size, 0, grown.left, grown.top)
            case _:
                return (size, 0, 0, size, grown.left, grown.bottom)

    @property
    def content(self) -> Box:
        """The box and all around it, but for what lies beyond the edge that the strip is put to."""
        box = self.box
        around = Box(left=box.left - _FAR, bottom=box.bottom - _FAR, right=box.right + _FAR, top=box.top + _FAR)
        match self.turn:
            case 90:
                return replace(around, right=box.right)
            case 180:
                return replace(around, top=box.top)
            case 270:
                return replace(around, left=box.left)
            case _:
                return replace(around, bottom=box.bottom)
