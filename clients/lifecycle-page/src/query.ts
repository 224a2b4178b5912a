// Any question: conditions of the rule language, any variable shown, sorted and paged.
import { api, must, outcome, type Money, type Rule, type Schemas } from "./api.ts";
import { button, choice, el, table } from "./dom.ts";
import { go } from "./main.ts";
import { money, named, number, say, title, variables, word } from "./words.ts";

type Value = Schemas["QueriedCustomer"]["values"][string];
interface Condition { variable: string; op: string; value: string }
type Found = Schemas["QueryPage"] | Schemas["QueryResult"];

const conditions: Condition[] = [{ variable: "days_since_last_purchase", op: ">", value: "60" }];
const select = ["stage", "revenue", "purchase_days", "days_since_last_purchase", "rhythm"];
let sort = "value_to_save";
let descending = true;
let cursor: string | null = null;

export async function query(): Promise<Node[]> {
  const body: Schemas["CustomerQuery"] = {
    when: { all: conditions.map(rule) }, select, sort: `${descending ? "-" : ""}${sort}`, limit: 20,
    count: cursor === null, ...(cursor !== null && { cursor }),
  };
  const found = await settled(await must(api.POST("/v1/customers/query", { body })));
  return [form(), summary(found), page(found)];
}

/** What takes long is an operation: wait for it. */
async function settled(asked: Schemas["QueryPage"] | Schemas["CustomerQueryOperation"]): Promise<Found> {
  if ("items" in asked) return asked;
  const done = await outcome(asked.id);
  if (done.kind !== "customer_query" || !done.result) throw new Error(done.kind);
  return done.result;
}

function rule({ variable, op, value }: Condition): Rule {
  const type = variables.get(variable)?.type;
  const constant = op === "in" ? value.split(",") : op === "known" || type === "boolean" ? value === "true"
    : type === "number" ? Number(value) : value;
  return { variable, op, value: constant };
}

function form(): HTMLElement {
  const plain = [...variables.values()].filter((each) => !each.parameters.includes("name"));
  const named_ = plain.map((each): [string, string] => [each.name, title(each.name)]);
  const ask = () => { cursor = null; return go(query); };
  return el("form", { submit: (event) => { event.preventDefault(); void ask(); } },
    conditions.map((each, place) => el("div", { class: "bar" },
      choice(named_, each.variable, (chosen) => {
        Object.assign(each, { variable: chosen, op: variables.get(chosen)?.type === "number" ? ">=" : "==", value: "" });
        return go(async () => [form()]);
      }),
      choice(["<", "<=", ">", ">=", "==", "!=", "in", "contains", "known"].map((op) => [op, op]), each.op,
        (op) => { each.op = op; }),
      field(each),
      button("×", () => { conditions.splice(place, 1); return ask(); }))),
    el("div", { class: "bar" },
      button(say("add"), () => { conditions.push({ variable: "purchase_days", op: ">=", value: "1" }); return ask(); }),
      el("label", {}, say("sort"), choice(named_, sort, (chosen) => { sort = chosen; })),
      el("label", {}, el("input", { type: "checkbox", checked: descending,
        change: () => { descending = !descending; } }), say("descending")),
      el("button", { class: "main" }, say("ask"))));
}

function field(each: Condition): HTMLElement {
  const words = variables.get(each.variable)?.words ?? [];
  if (words.length && each.op !== "in") {
    each.value ||= words[0]?.code ?? "";
    return choice(words.map(({ code, name }) => [code, named(name)]), each.value, (value) => { each.value = value; });
  }
  const made = el("input", { value: each.value, required: true, size: "12" });
  made.addEventListener("input", () => { each.value = made.value; });
  return made;
}

function summary({ count }: Found): HTMLElement {
  if (!count) return el("div");
  const of = (title: string, value: string) => el("div", {}, el("dt", {}, title), el("dd", {}, value));
  return el("dl", { class: "figures" }, of(say("count"), number(count.customers)), of(say("revenue"), money(count.revenue)),
    of(say("clv"), money(count.clv)), of(say("toSave"), money(count.value_to_save)));
}

function page(found: Found): HTMLElement {
  const columns = found.columns.map(({ name, title: heading, type }) => ({
    title: named(heading), number: type === "number",
    cell: (item: Found["items"][number]) => shown(name, item.values[name]),
  }));
  const who = { title: say("customer"), cell: ({ customer_id }: Found["items"][number]) =>
    el("a", { href: `#customer/${encodeURIComponent(customer_id)}` }, customer_id) };
  const next = found.next_cursor;
  return el("div", {}, table([who, ...columns], found.items, say("nobody")), el("div", { class: "bar" },
    cursor !== null ? button(say("first"), () => { cursor = null; return go(query); }) : null,
    next !== null ? button(say("next"), () => { cursor = next; return go(query); }) : null));
}

const isMoney = (value: Value): value is Money =>
  typeof value === "object" && value !== null && "currency" in value;

function shown(variable: string, value: Value | undefined): string {
  if (value === null || value === undefined) return "–";
  if (isMoney(value)) return money(value);
  if (Array.isArray(value)) return value.map((each) => word(variable, each)).join(", ");
  if (typeof value === "boolean") return say(value ? "yes" : "no");
  return typeof value === "number" ? number(value) : word(variable, value);
}
