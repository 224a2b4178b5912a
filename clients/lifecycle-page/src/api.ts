// The client, with types from the document and nothing else.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.d.ts";

export type Schemas = components["schemas"];
export type Money = Schemas["Money"];
export type Rule = Schemas["Rule"];

export interface Access {
  service: string;
  key: string;
}

// Lists also come as CSV: this page asks for JSON alone. Without that, answers are typed as texts, too.
type Media = "application/json" | "application/problem+json";
type Client = ReturnType<typeof createClient<paths, Media>>;
export let api: Client;

export function connect(access: Access): void {
  api = createClient<paths, Media>({
    baseUrl: access.service,
    headers: { Authorization: `Bearer ${access.key}` },
  });
}

export class Refused extends Error {}

type Problem = { detail: string; errors?: { pointer: string; detail: string }[] };

/** Return what was answered; a problem becomes an error with its words. */
export async function must<T>(asked: Promise<{ data?: T; error?: Problem }>): Promise<T> {
  const { data, error } = await asked;
  if (data !== undefined) return data;
  if (error === undefined) throw new Refused("no answer");
  const faults = error.errors?.map((each) => `${each.pointer} ${each.detail}`) ?? [];
  throw new Refused(faults.length ? faults.join("; ") : error.detail);
}

/** Wait until a worker has done what was asked. */
export async function outcome(id: string): Promise<Schemas["Operation"]> {
  for (;;) {
    const operation = await must(
      api.GET("/v1/operations/{operation_id}", { params: { path: { operation_id: id } } }),
    );
    if (operation.state === "failed" || operation.state === "cancelled") {
      throw new Refused(operation.error?.detail ?? operation.state);
    }
    if (operation.state === "succeeded") return operation;
    await new Promise((done) => setTimeout(done, 500));
  }
}
