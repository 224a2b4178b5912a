"""SQL of what refunds leave of purchases, from the allocations that are kept."""


def snapshot(as_of: str, customer_ids: str | None = None) -> str:
    """Return a query of the purchases up to an instant that are not refunded in full by then.

    They have all columns of `transactions`, and `net`, which is `value` less what refunds have
    taken back. Both parameters are SQL: of the instant, and of the customers, everybody if there
    is none.
    """
    whose = "" if customer_ids is None else f" AND customer_id = ANY({customer_ids})"
    return (
        "SELECT p.*, p.value - coalesce(a.value, 0) AS net"  # noqa: S608  # no value of a caller
        " FROM (SELECT * FROM transactions"
        f" WHERE kind = 'purchase' AND occurred_at <= {as_of}{whose}) AS p"
        " LEFT JOIN (SELECT customer_id, purchase_source, purchase_id, sum(amount) AS amount,"
        f" sum(value) AS value FROM refund_allocations WHERE effective_at <= {as_of}{whose}"
        " GROUP BY 1, 2, 3) AS a ON a.customer_id = p.customer_id"
        " AND a.purchase_source = p.source AND a.purchase_id = p.transaction_id"
        " WHERE a.amount IS NULL OR a.amount < p.amount"
    )
