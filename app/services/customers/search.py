"""Lists of customers: of a stage, of an owner, or found by what somebody types."""

from typing import Any

from sqlalchemy import ColumnElement, and_, any_, func, or_, select, union_all

from app.models import Customer, CustomerSearch
from app.postgres.db import ReadSession
from app.services.common import deployment_settings
from app.services.common.paging import PageRequest, Sort, choose_sort, fetch_responses
from app.services.customers import contact_points, customers, names

SORTS = {
    name: Sort(columns, descending=name.startswith("-"))
    for names_, columns in {
        ("customer_id", "-customer_id"): (Customer.customer_id,),
        ("created_at", "-created_at"): (Customer.created_at, Customer.customer_id),
    }.items()
    for name in names_
}
_LAST = "\U0010ffff"


async def search(
    session: ReadSession,
    page: PageRequest,
    *,
    stage: str | None,
    owner: str | None,
    q: str | None,
) -> dict[str, Any]:
    """Return a page of the customers that fit all filters."""
    name, sort = choose_sort(page, SORTS, "customer_id")
    statement = select(*customers.COLUMNS, *sort.columns)
    if stage is not None:
        statement = statement.where(Customer.stage == stage)
    if owner is not None:
        statement = statement.where(Customer.owner == owner)
    if q is not None:
        statement = statement.where(Customer.customer_id == any_(func.array(_found_by(q))))
    bound_to = {"list": "customers", "sort": name, "stage": stage, "owner": owner, "q": q}
    found = await fetch_responses(session, statement, page, sort, bound_to, customers.to_response)
    settled = (await deployment_settings.pointers(session)).settled_policy_version
    return {**found, "stage_policy_version": settled}


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
