"""State of the dashboard: access requests, accounts, sessions, keys, environments."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256


def _made(seed: int, *parts: object) -> str:
    return sha256(":".join(map(str, (seed, "dashboard", *parts))).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key in the form in which it is shown once."""

    id: str
    name: str
    environment: str
    public: str
    secret: str
    created_at: datetime

    @property
    def full(self) -> str:
        return f"{self.public}.{self.secret}"


@dataclass(slots=True)
class DashboardAccounts:
    """Everything behind ``/dashboard``. Passwords are compared in plain text, since they protect nothing here."""

    requested: set[str] = field(default_factory=set)
    approvals: dict[str, str] = field(default_factory=dict)
    """Approval token → email."""
    passwords: dict[str, str] = field(default_factory=dict)
    """Email → password of each account."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Token → email."""
    tickets: dict[str, str] = field(default_factory=dict)
    """MFA ticket → email."""
    keys: list[ApiKey] = field(default_factory=list)
    customers: dict[str, str] = field(default_factory=dict)
    """Customers made here: id → display name."""
    active_at: dict[str, datetime] = field(default_factory=dict)
    """Environment → time at which its activation is done."""
    preferred: str = "sandbox"

    def approve(self, email: str, seed: int) -> str:
        token = f"approve_{_made(seed, 'approval', email)[:24]}"
        self.approvals[token] = email
        return token

    def session(self, email: str, seed: int) -> str:
        token = f"session_{_made(seed, 'session', email, len(self.sessions))[:40]}"
        self.sessions[token] = email
        return token

    def ticket(self, email: str, seed: int) -> str:
        ticket = f"mfa_{_made(seed, 'mfa', email, len(self.tickets))[:24]}"
        self.tickets[ticket] = email
        return ticket

    def new_key(self, name: str, environment: str, seed: int, now: datetime) -> ApiKey:
        number = len(self.keys) + 1
        digits = _made(seed, "key", number)
        key = ApiKey(
            id=f"key_{digits[:12]}",
            name=name,
            environment=environment,
            public=f"pk_{environment}_{digits[12:24]}",
            secret=digits[24:56],
            created_at=now,
        )
        self.keys.append(key)
        return key
