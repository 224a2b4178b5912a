// Uses the service as a front-end team would: with types from the document, and nothing else.
// Arguments: the address of the service, and a key.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.d.ts";

type Operation = components["schemas"]["Operation"];

declare const process: { argv: string[]; exitCode: number };
const [baseUrl = "", key = ""] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

/** Return what came of long work: the type of `result` follows from `kind`. */
function outcome(operation: Operation): string {
  switch (operation.kind) {
    case "scoring_run":
      return operation.result ? `run ${operation.result.run_id}` : operation.state;
    case "policy_preview":
      return operation.result ? operation.result.token : operation.state;
    case "policy_activation":
      return operation.result ? operation.result.activated_at : operation.state;
    case "model_fit":
      return operation.result ? operation.result.model_id : operation.state;
    case "backtest":
      return operation.result ? operation.result.backtest_id : operation.state;
    case "rebuild":
      return operation.result ? operation.result.digest : operation.state;
    case "import":
      return operation.result ? `${operation.result.rows} rows` : operation.state;
    case "report":
      return operation.result ? `${operation.result.rows.length} rows` : operation.state;
    case "segment_update":
      return operation.result ? `${operation.result.customers_changed} changed` : operation.state;
    case "customer_query":
      return operation.result ? `${operation.result.items.length} found` : operation.state;
    case "customer_aggregate":
      return operation.result ? `${operation.result.customers} counted` : operation.state;
  }
}

function must<T>(answer: { data?: T; error?: { detail: string } }): T {
  if (answer.data === undefined) throw new Error(answer.error?.detail ?? "no answer");
  return answer.data;
}

const written = must(
  await api.POST("/v1/transactions", {
    body: {
      customer_id: "ts-1",
      transaction_id: "order-1",
      occurred_at: "2026-01-31T12:00:00Z",
      amount: { amount: "12.50", currency: "EUR" },
    },
  }),
);
const customers = must(await api.GET("/v1/customers", { params: { query: { limit: 1 } } }));
const started = must(await api.POST("/v1/scoring-runs", { body: {} }));
const operation = must(
  await api.GET("/v1/operations/{operation_id}", { params: { path: { operation_id: started.id } } }),
);
const refused = await api.GET("/v1/customers/{customer_id}", {
  params: { path: { customer_id: "nobody" } },
});
console.log(
  JSON.stringify({
    amount: written.transaction.amount,
    value: written.transaction.value,
    customers: customers.items.length,
    kind: operation.kind,
    outcome: outcome(operation),
    refused: refused.error?.code,
  }),
);
