"""Lists of customers: by what is known of them, or found by what somebody types."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    and_,
    any_,
    cast,
    column,
    func,
    null,
    or_,
    select,
    union_all,
)

from app.errors import FieldError, InvalidCursor, ValidationFailed
from app.models import Customer, CustomerSearch, PurchaseSummary, Segment, SegmentPeriod
from app.models.scoring import scores_of
from app.postgres.db import ReadSession
from app.postgres.sqlstates import is_missing_table
from app.services.common import deployment_settings
from app.services.common.paging import (
    PageRequest,
    Sort,
    choose,
    fetch_responses,
    next_part,
    read_bound,
)
from app.services.customers import contact_points, countries, customers, names

_OF_RUN = ("value_to_save", "clv")
_LATEST = "last_purchase"
SORTS: dict[str, tuple[Any, ...]] = {
    "customer_id": (),
    "created_at": (Customer.created_at,),
    "updated_at": (Customer.updated_at,),
    **{name: (column(name, Numeric()),) for name in _OF_RUN},
    _LATEST: (PurchaseSummary.last_purchase_on,),
}
"""What lists are sorted by, before the id; what is not known of everybody comes last."""
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which customers a list is of; None: whatever it be."""

    stage: str | None = None
    owner: str | None = None
    country: str | None = None
    industry: str | None = None
    channel: str | None = None
    kind: str | None = None
    rhythm: str | None = None
    segment: str | None = None
    updated_since: datetime | None = None
    q: str | None = None

    @property
    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what holds of the customers, but for what the published run says."""
        country = None if self.country is None else countries.code_of(self.country) or self.country
        equal = {
            Customer.stage: self.stage,
            Customer.owner: self.owner,
            Customer.country: country,
            Customer.industry: self.industry,
            Customer.acquisition_channel: self.channel,
            Customer.kind: self.kind,
        }
        for of_customer, value in equal.items():
            if value is not None:
                yield of_customer == value
        if self.segment is not None:
            yield (
                select(SegmentPeriod.code)
                .where(
                    SegmentPeriod.customer_id == Customer.customer_id,
                    SegmentPeriod.code == self.segment,
                    SegmentPeriod.left_at.is_(None),
                )
                .exists()
            )
        if self.updated_since is not None:
            yield Customer.updated_at >= self.updated_since
        if self.q is not None:
            yield Customer.customer_id == any_(func.array(_found_by(self.q)))


def needs_run(page: PageRequest, filters: Filters) -> bool:
    """Say whether what a run found is asked for."""
    return filters.rhythm is not None or (page.sort or "").removeprefix("-") in _OF_RUN


async def search(session: ReadSession, page: PageRequest, filters: Filters) -> dict[str, Any]:
    """Return a page of the customers that fit all filters."""
    allowed = {f"{sign}{name}": name for name in SORTS for sign in ("", "-")}
    name, plain = choose(page, allowed, "customer_id")
    pointers = await deployment_settings.pointers(session)
    if filters.segment is not None:
        await _require_segment(session, filters.segment)
    run_id = read_bound(page, "=run_id") or pointers.run_id
    keys, rest = SORTS[plain], bool(read_bound(page, "=rest"))
    statement = select(*customers.COLUMNS).where(*filters.conditions)
    bound_to = {"list": "customers", "sort": name, **_bound(filters)}
    if needs_run(page, filters):
        bound_to["=run_id"] = run_id
        scores = _scores(run_id)
        keys = tuple(scores.c[key.name] for key in keys) if plain in _OF_RUN else keys
        statement = statement.outerjoin(scores, scores.c.customer_id == Customer.customer_id)
        if filters.rhythm is not None:
            statement = statement.where(scores.c.rhythm == filters.rhythm)
    if plain == _LATEST:
        own = PurchaseSummary.customer_id == Customer.customer_id
        statement = statement.outerjoin(PurchaseSummary, own)
    some = plain in (*_OF_RUN, _LATEST)
    last_part = {**bound_to, "=rest": True}
    if some:
        statement = statement.where(keys[0].is_(None) if rest else keys[0].is_not(None))
    sort = Sort(
        (Customer.customer_id,) if rest else (*keys, Customer.customer_id),
        descending=name.startswith("-") and not rest,
    )
    try:
        found = await fetch_responses(
            session, statement.add_columns(*sort.columns), page, sort,
            last_part if rest else bound_to, customers.to_response,
        )  # fmt: skip
    except Exception as error:
        if is_missing_table(error):
            raise InvalidCursor("The run that this cursor belongs to is no longer kept.") from None
        raise
    if some and not rest and found["next_cursor"] is None:
        found["next_cursor"] = next_part(page, [""], last_part)
        left = page.limit - len(found["items"])
        if left:
            others = replace(page, limit=left, cursor=found["next_cursor"])
            more = await search(session, others, filters)
            return {**more, "items": [*found["items"], *more["items"]]}
    return {**found, "stage_policy_version": pointers.settled_policy_version}


async def _require_segment(session: ReadSession, code: str) -> None:
    """Refuse a segment that is not in force: a list of nobody would say less."""
    in_force = select(Segment.code).where(Segment.code == code, Segment.retired_at.is_(None))
    if await session.scalar(in_force) is None:
        detail = f"there is no segment {code!r}; see GET /v1/segments"
        raise ValidationFailed(errors=[FieldError("query:segment", "unknown_segment", detail)])


def _bound(filters: Filters) -> dict[str, object]:
    return {each.name: getattr(filters, each.name) for each in fields(filters)}


def _scores(run_id: int | None) -> Any:
    """Return the table of a run; nobody is in it before the first."""
    if run_id is not None:
        return scores_of(run_id)
    none = scores_of(0).c
    return select(*(cast(null(), none[name].type).label(name) for name in _READ)).subquery()


_READ = ("customer_id", "rhythm", *_OF_RUN)


def _found_by(q: str) -> Any:
    """Return the ids of the customers that are found by a query, each way by its own index.

    They are asked for as an array: joined, all customers would be walked in order for the few that
    the planner hopes to meet soon.
    """
    own = select(CustomerSearch.customer_id)
    ways = [
        select(Customer.customer_id).where(_begins(Customer.customer_id, q)),
        own.where(_begins(CustomerSearch.email, contact_points.email_prefix(q))),
    ]
    wanted = names.wanted(q)
    if wanted:
        ways.append(own.where(*map(_is_named, wanted)))
    part = contact_points.part_of_number(q)
    if part is not None:
        grams = CustomerSearch.terms.contains(sorted(contact_points.grams_of(part)))
        ways.append(own.where(grams, func.strpos(CustomerSearch.numbers, part) > 0))
    return union_all(*ways).scalar_subquery()


def _begins(column: Any, prefix: str) -> ColumnElement[bool]:
    """Compare ranges, not LIKE: a range finds its index under any plan, and needs no escaping."""
    return and_(column >= prefix, column <= prefix + _LAST)


def _is_named(wanted: names.Wanted) -> ColumnElement[bool]:
    found = CustomerSearch.terms.contains(sorted(wanted.terms))
    if wanted.within:
        found = and_(found, func.strpos(CustomerSearch.words, wanted.within) > 0)
    if wanted.instead is None:
        return found
    return or_(found, CustomerSearch.terms.contains([wanted.instead]))
