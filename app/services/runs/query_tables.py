"""The tables that a query reads, as its rule asks for them: SQL of the driver.

Everything that a caller gives is a parameter. No row is read of a table that nothing asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from app.days import AsOf, from_day
from app.lifecycle.inactivity import InactivityLimit
from app.lifecycle.variables.definition import Term
from app.models.scoring import scores_name

Kind = Literal["whole", "number", "money", "text", "json", "list"]


@dataclass(frozen=True, slots=True)
class Value:
    """The SQL of a value of a customer, null where it is not known.

    Money is an exact column. Where `absent_is_zero`, a customer without a row has 0.
    """

    sql: str
    kind: Kind
    absent_is_zero: bool = False

    @property
    def known(self) -> str:
        return f"coalesce({self.sql}, 0)" if self.absent_is_zero else self.sql


@dataclass
class Tables:
    """Customers `c`, and what is joined to them: summaries `s`, the published run `r`, windows.

    Of windows, those who are met are counted one by one; of `everybody` all are counted at once.
    Where `few` are asked for whom an index knows, nothing begins with who had an interaction.
    """

    as_of: AsOf
    day_began: datetime
    inactivity_limit: InactivityLimit
    run_id: int | None
    everybody: bool = False
    few: bool = False
    arguments: list[Any] = field(default_factory=list)
    _joined: dict[str, str] = field(default_factory=dict)
    _windows: dict[tuple[frozenset[str] | None, int | None], str] = field(default_factory=dict)
    _today: str | None = None

    def bind(self, value: Any, type_: str) -> str:
        """Return the parameter that a value goes in as."""
        self.arguments.append(value)
        return f"${len(self.arguments)}::{type_}"

    @property
    def today(self) -> str:
        if self._today is None:
            self._today = self.bind(from_day(self.as_of.day), "date")
        return self._today

    @property
    def summary(self) -> str:
        """The summaries, which a query joins that asks for them here."""
        self._joined["s"] = " LEFT JOIN purchase_summaries s ON s.customer_id = c.customer_id"
        return "s"

    @property
    def run(self) -> str:
        """The published run, or nothing under its name before the first."""
        if self.run_id is None:
            nothing = ", ".join(
                f"NULL::{type_} AS {name}"
                for name, type_ in (
                    ("customer_id", "text"), ("probability", "float8"),
                    ("expected_purchases", "float8"),
                    ("clv", "numeric"), ("value_to_save", "numeric"), ("rhythm", "text"),
                    ("rfm_group", "text"), ("call_reasons", "text[]"), ("stage", "text"),
                    ("usual_gap_days", "float8"), ("last_purchase_on", "date"),
                    ("chance_if_active", "float8"), ("next_actions", "int8"),
                    ("purchase_days", "int4"),
                )
            )  # fmt: skip
            self._joined["r"] = f" CROSS JOIN (SELECT {nothing}) AS r"
        else:
            scores = scores_name(self.run_id)
            self._joined["r"] = f" LEFT JOIN {scores} r ON r.customer_id = c.customer_id"
        return "r"

    @property
    def kept(self) -> str:
        """What is kept of segments."""
        self._joined["k"] = " LEFT JOIN customer_segments k ON k.customer_id = c.customer_id"
        return "k"

    @property
    def joined(self) -> str:
        """All that is read."""
        return f"customers c{''.join(self._joined.values())}"

    def interactions(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return how many interactions of some kinds there were, in some days or ever."""
        if self.everybody:
            return f"coalesce({self._window(kinds, days)}.n, 0)"
        by_day, today = self._seen(kinds, days)
        mine = "customer_id = c.customer_id"
        return (
            f"((SELECT coalesce(sum(d.count), 0)::int8 FROM interaction_days d"  # noqa: S608
            f" WHERE d.{mine} AND {by_day})"
            f" + (SELECT count(*) FROM interactions i WHERE i.{mine} AND {today}))"
        )

    def any_interaction(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return whether there was any: a join with one table, of which the planner knows much.

        It goes by the order of a page and leaves early, or begins with those who had one.
        """
        if self.few:
            by_day, today = self._seen(kinds, days)
            mine = "customer_id = c.customer_id"
            return (
                f"(EXISTS (SELECT FROM interaction_days d WHERE d.{mine} AND {by_day})"  # noqa: S608
                f" OR EXISTS (SELECT FROM interactions i WHERE i.{mine} AND {today}))"
            )
        return f"EXISTS ({self._days_seen(kinds, days)})"

    def no_interaction(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return whether there was none: a join with one table, that a page leaves early."""
        return f"NOT EXISTS ({self._days_seen(kinds, days)})"

    def _days_seen(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return the days on which a customer had any by the instant.

        The last day is counted, too, and its facts are read of those alone who have any on it: no
        index finds the facts of a day. `OFFSET 0` keeps the planner from looking for all of them.
        """
        within, today = self._within(kinds, days)
        return (
            "SELECT FROM interaction_days d WHERE d.customer_id = c.customer_id"  # noqa: S608
            f" AND d.occurred_on <= {self.today}{within} AND (d.occurred_on < {self.today}"
            " OR EXISTS (SELECT FROM interactions i WHERE i.customer_id = d.customer_id"
            f" AND {today} OFFSET 0))"
        )

    def last_interaction(self, kinds: frozenset[str] | None) -> str:
        """Return the day of the last interaction of some kinds."""
        if self.everybody:
            return f"{self._window(kinds, None)}.day"
        by_day, today = self._seen(kinds, None)
        mine = "customer_id = c.customer_id"
        return (
            f"greatest((SELECT max(d.occurred_on) FROM interaction_days d"  # noqa: S608
            f" WHERE d.{mine} AND {by_day}), (SELECT max(i.occurred_on) FROM interactions i"
            f" WHERE i.{mine} AND {today}))"
        )

    def last_instant(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return when the last interaction of some kinds was that is not said to be solved."""
        found = (
            f"i.occurred_at <= {self.bind(self.as_of.at, 'timestamptz')}"
            " AND i.outcome IS DISTINCT FROM 'solved'"
        )
        if kinds is not None:
            found += f" AND i.kind = ANY({self.bind(sorted(kinds), 'text[]')})"
        if days is not None:
            found += f" AND i.occurred_on > {self.today} - {self.bind(days, 'int4')}"
        return (
            "(SELECT max(i.occurred_at) FROM interactions i"  # noqa: S608
            f" WHERE i.customer_id = c.customer_id AND {found})"
        )

    def any_answer(self, term: Term, days: int) -> str:
        """Return whether a survey was answered in some days, by the index of scores alone."""
        words = self.bind([word for word, scale in term.declared or () if scale], "text[]")
        since = self.day_began - timedelta(days=days)  # at least as long as asked for
        return (
            "EXISTS (SELECT FROM interactions i WHERE i.customer_id = c.customer_id"
            f" AND i.score IS NOT NULL AND i.kind = ANY({words})"
            f" AND i.occurred_at >= {self.bind(since, 'timestamptz')})"
        )

    def last_low_answer(self, term: Term, column: str = "occurred_on") -> str:
        """Return the day of the last answer to a survey, or when it was, if it is not good."""
        scales = [(word, scale.good_from) for word, scale in term.declared or () if scale]
        words = self.bind([word for word, _ in scales], "text[]")
        good_from = self.bind([least for _, least in scales], "float8[]")
        return (
            f"(SELECT CASE WHEN i.score < ({good_from})[array_position({words}, i.kind::text)]"  # noqa: S608
            f" THEN i.{column} END FROM interactions i WHERE i.customer_id = c.customer_id"
            f" AND i.score IS NOT NULL AND i.kind = ANY({words})"
            f" AND i.occurred_at <= {self.bind(self.as_of.at, 'timestamptz')}"
            " ORDER BY i.occurred_at DESC, i.source DESC, i.interaction_id DESC LIMIT 1)"
        )

    def _seen(self, kinds: frozenset[str] | None, days: int | None) -> tuple[str, str]:
        """Return which counts of days and which interactions of the last day are looked at.

        Days that are over have been counted; of the last one counts what came by the instant.
        """
        within, today = self._within(kinds, days)
        return f"d.occurred_on < {self.today}{within}", today

    def _within(self, kinds: frozenset[str] | None, days: int | None) -> tuple[str, str]:
        """Return which days and kinds are counted, and which interactions of the last day are."""
        within = ""
        if days is not None:
            within += f" AND d.occurred_on > {self.today} - {self.bind(days, 'int4')}"
        began, at = (
            self.bind(self.day_began, "timestamptz"),
            self.bind(self.as_of.at, "timestamptz"),
        )
        today = f"i.occurred_at >= {began} AND i.occurred_at <= {at}"
        if kinds is not None:
            words = self.bind(sorted(kinds), "text[]")
            within += f" AND d.kind = ANY({words})"
            today += f" AND i.kind = ANY({words})"
        return within, today

    def _window(self, kinds: frozenset[str] | None, days: int | None) -> str:
        """Return the name under which the interactions of all who have any are joined."""
        name = self._windows.get((kinds, days))
        if name is None:
            name = self._windows[kinds, days] = f"w{len(self._windows)}"
            by_day, today = self._seen(kinds, days)
            self._joined[name] = (
                " LEFT JOIN (SELECT customer_id, sum(times)::int8 AS n, max(day) AS day FROM"  # noqa: S608
                " (SELECT customer_id, count AS times, occurred_on AS day FROM interaction_days d"
                f" WHERE {by_day} UNION ALL SELECT customer_id, 1, occurred_on FROM interactions i"
                f" WHERE {today}) AS seen GROUP BY customer_id)"
                f" AS {name} ON {name}.customer_id = c.customer_id"
            )
        return name

    def select(self, columns: Sequence[str], conditions: Sequence[str], more: str = "") -> str:
        """Return a query of all that was asked for so far."""
        where = " AND ".join(conditions) or "true"
        return f"SELECT {', '.join(columns)} FROM {self.joined} WHERE {where}{more}"  # noqa: S608
