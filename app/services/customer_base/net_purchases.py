"""SQL of what refunds leave of purchases: `app.lifecycle.purchases.set_off`, for many at once."""


def snapshot(as_of: str, customer_ids: str | None = None) -> str:
    """Return a query of the purchases up to an instant that are not refunded in full by then.

    They have all columns of `transactions`, and `net`, which is `value` less the refunds that name
    them. Both parameters are SQL: of the instant, and of the customers, everybody if there is none.
    """
    whose = "" if customer_ids is None else f" AND customer_id = ANY({customer_ids})"
    counted = f"occurred_at <= {as_of}{whose}"
    return (
        "SELECT p.*, p.value - coalesce(r.refunded, 0) AS net"  # noqa: S608  # no value of a caller
        f" FROM (SELECT * FROM transactions WHERE kind = 'purchase' AND {counted}) AS p"
        " LEFT JOIN (SELECT customer_id, refunds_source, refunds_transaction_id,"
        " sum(value) AS refunded FROM transactions"
        f" WHERE refunds_transaction_id IS NOT NULL AND {counted} GROUP BY 1, 2, 3) AS r"
        " ON r.customer_id = p.customer_id AND r.refunds_source = p.source"
        " AND r.refunds_transaction_id = p.transaction_id"
        " WHERE r.refunded IS NULL OR r.refunded < p.value"
    )
