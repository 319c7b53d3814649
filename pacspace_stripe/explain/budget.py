"""How many requests may still be made, over all vendors, tries and windows of one drift."""

from dataclasses import dataclass


class BudgetSpent(Exception):
    """Another request was wanted than the budget has room for."""


@dataclass(slots=True)
class Budget:
    """Counts every request right before it is sent."""

    most: int
    spent: int = 0

    def count(self) -> None:
        """One request more. Raises BudgetSpent."""
        if self.spent >= self.most:
            raise BudgetSpent
        self.spent += 1

    @property
    def left(self) -> int:
        return self.most - self.spent
