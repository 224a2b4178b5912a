"""Uses the service as a Python team would: with the generated client, and nothing else.

Arguments: the address of the service, and a key.
"""

import json
import sys
from datetime import datetime

from clm_client import AuthenticatedClient
from clm_client.api.customers import get_customer, list_customers
from clm_client.api.operations import get_operation
from clm_client.api.scores import start_scoring_run
from clm_client.api.transactions import create_transaction
from clm_client.models import (
    CustomerPage,
    PaidMoneyIn,
    Problem,
    RunRequest,
    ScoringRunOperation,
    TransactionIn,
    TransactionWritten,
)

api = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
written = create_transaction.sync(
    client=api,
    body=TransactionIn(
        customer_id="py-1",
        transaction_id="order-1",
        occurred_at=datetime.fromisoformat("2026-01-31T12:00:00+00:00"),
        amount=PaidMoneyIn(amount="12.50", currency="EUR"),
    ),
)
assert isinstance(written, TransactionWritten), written
customers = list_customers.sync(client=api, limit=1)
assert isinstance(customers, CustomerPage), customers
started = start_scoring_run.sync(client=api, body=RunRequest())
assert isinstance(started, ScoringRunOperation), started
operation = get_operation.sync(started.id, client=api)
assert isinstance(operation, ScoringRunOperation), operation
refused = get_customer.sync("nobody", client=api)
assert isinstance(refused, Problem), refused
print(  # noqa: T201  # the test reads it
    json.dumps(
        {
            "amount": written.transaction.amount.to_dict(),
            "value": written.transaction.value.to_dict(),
            "customers": len(customers.items),
            "kind": operation.kind,
            "outcome": operation.state if operation.result is None else operation.result.run_id,
            "refused": refused.code,
        }
    )
)
