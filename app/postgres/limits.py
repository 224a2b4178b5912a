"""How long each kind of work may keep the database, and wait for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one kind of work may keep the database, and wait for it, in seconds."""

    statement: float
    lock: float
    idle: float
    """Between two statements of a transaction, whose locks others wait for."""
    unheard: float
    """Until the other side says that it has what was sent."""
    command: float | None
    """Until a statement is given up that the server should have ended: nobody is there."""

    def settings(self) -> dict[str, str]:
        """Return what the server is to know of them, in milliseconds."""
        seconds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.idle,
            "tcp_user_timeout": self.unheard,
        }
        return {name: str(round(each * 1000)) for name, each in seconds.items()}


REQUEST = Limits(statement=7, lock=2, idle=8, unheard=8, command=8)
"""Reads and writes of the API, which share their connections. All ends before a hole in the network
is over for ten seconds."""
EXPORT = Limits(statement=1800, lock=3, idle=60, unheard=60, command=1805)
"""Reads whose reader decides how long they take."""
PART = Limits(statement=600, lock=60, idle=600, unheard=60, command=620)
"""A part of an operation: it holds its transaction while numpy works."""
HOUSEKEEPING = Limits(statement=60, lock=2, idle=60, unheard=60, command=620)
"""What may as well be done a minute later: it makes nobody wait."""
COMMAND_LINE = Limits(statement=30, lock=5, idle=60, unheard=60, command=None)
"""Commands of `clm`; a migration sets its own limits."""

SHUTDOWN_SECONDS = 25
"""What requests that are under way get to end in when the API is told to end."""
