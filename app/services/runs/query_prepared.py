"""A query that has been read: whatever is wrong with it is told before anybody is looked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.days import AsOf
from app.deployment import Deployment
from app.errors import InvalidCursor
from app.lifecycle.variables.definition import Term
from app.lifecycle.variables.registry import VARIABLES
from app.postgres.db import ReadSession
from app.schemas.queries import CustomerQuery
from app.services.common import deployment_settings
from app.services.common.paging import PageRequest, read_bound
from app.services.runs import query_pages, query_rules, query_sql
from app.services.runs.query_pages import Order, Place
from app.services.runs.query_rules import SCORES, May, Question
from app.services.runs.query_tables import Kind
from app.services.runs.segments import usage

CLV, TO_SAVE = (Term.of(VARIABLES[name]) for name in ("clv", "value_to_save"))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query that has been read, and where its page begins."""

    question: Question
    told: tuple[Term, ...]
    order: Order
    kind: Kind | None
    page: PageRequest
    place: Place
    bound_to: Mapping[str, object]
    counts: bool
    tells_scores: bool

    @property
    def money(self) -> tuple[Term, ...]:
        """What is summed up of those who are counted, besides revenue."""
        told = self.counts and self.tells_scores and self.question.run_id is not None
        return (CLV, TO_SAVE) if told and self.question.as_of.is_now else ()

    @property
    def shown(self) -> tuple[Term, ...]:
        """What is told of each who is shown."""
        sorted_by = () if self.order.term is None else (self.order.term,)
        return tuple(dict.fromkeys((*self.told, *sorted_by)))

    @property
    def with_told(self) -> Question | None:
        """The question by which what is told is read where each is found, if that can be."""
        asked = tuple(dict.fromkeys((*self.question.asked, *self.shown)))
        wide = replace(self.question, asked=asked)
        return wide if wide.is_stored and wide.as_of.is_now else None

    @property
    def wanted(self) -> tuple[Term, ...]:
        """What has to be known of all who are evaluated."""
        return (*(() if self.order.term is None else (self.order.term,)), *self.money)


async def prepare(
    session: ReadSession,
    deployment: Deployment,
    asked: CustomerQuery,
    *,
    secret: bytes,
    as_of: AsOf,
    may: May,
    run_id: int | None = None,
) -> Prepared:
    """Read a query; whatever is wrong with it is told with pointers."""
    pointers = await deployment_settings.pointers(session)
    read = await query_rules.reader(session, pointers)
    when = read.when(asked.when, "/when")
    told = query_rules.select(read, asked.select, "/select")
    order = query_pages.order_of(read, asked.sort)
    read.check()
    usage.note(read.named)
    page = PageRequest(asked.limit, asked.cursor, None, secret)
    try:
        as_of = query_rules.as_of_page(as_of, deployment, read_bound(page, "=as_of"))
        question = await query_rules.question(
            session, pointers, when, () if order.term is None else (order.term,), as_of, may,
            told=told, run_id=read_bound(page, "=run_id") or run_id,
        )  # fmt: skip
        kind = None
        if order.term is not None:
            kind = query_sql.value(order.term, question.tables(deployment)).kind
        bound_to = {
            "list": "query", "when": asked.when, "sort": asked.sort, "as_of": asked.as_of,
            "=as_of": as_of.at.isoformat(), "=run_id": question.run_id,
        }  # fmt: skip
        place = query_pages.place_of(page, kind, bound_to)
    except InvalidCursor:
        raise query_pages.refused() from None
    scores = may(SCORES)
    return Prepared(question, told, order, kind, page, place, bound_to, asked.count, scores)
