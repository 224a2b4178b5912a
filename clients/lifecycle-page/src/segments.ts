// Named rules: who is in them, and who would come and go by another rule.
import { api, must, outcome, type Rule, type Schemas } from "./api.ts";
import { button, el, table } from "./dom.ts";
import { go } from "./main.ts";
import { day, money, named, number, say } from "./words.ts";

type SegmentIn = Schemas["SegmentIn"];
type Segment = Schemas["Segment"];

const EXAMPLES: Record<string, SegmentIn> = {
  high_value: { name: { en: "High value", zh: "高价值客户" }, rule: { variable: "revenue", op: ">=", value: 200 } },
  one_order: { name: { en: "One order only", zh: "仅购买一次的客户" }, rule: { variable: "purchase_days", op: "==", value: 1 } },
  declining: { name: { en: "Declining", zh: "购买减少的客户" }, rule: { variable: "frequency_trend", op: "<", value: 0.7 } },
};

export async function segments(): Promise<Node[]> {
  const { items } = await must(api.GET("/v1/segments", { params: { query: { limit: 200 } } }));
  const missing = Object.entries(EXAMPLES).filter(([code]) => !items.some((each) => each.code === code));
  return [
    table(
      [{ title: say("segments"), cell: (each) => el("a", { href: `#segment/${each.code}` }, named(each.name)) },
       { title: say("rule"), cell: (each) => named(each.words) },
       { title: say("owner"), cell: (each) => each.owner },
       { title: say("since"), cell: (each) => day(each.kept_until) }],
      items, say("nobody")),
    el("div", { class: "bar" }, missing.map(([code, body]) =>
      button(`${say("declare")}: ${named(body.name)}`, () => go(async () => {
        await must(api.PUT("/v1/segments/{code}", { params: { path: { code } }, body }));
        return segments();
      })))),
  ];
}

export const segment = (code: string, cursor: string | null = null) => async (): Promise<Node[]> => {
  const path = { code };
  const [found, members] = await Promise.all([
    must(api.GET("/v1/segments/{code}", { params: { path } })),
    must(api.GET("/v1/segments/{code}/members", { params: { path, query: { limit: 20, ...(cursor && { cursor }) } } })),
  ]);
  const next = members.next_cursor;
  return [
    el("h2", {}, named(found.name)),
    el("p", {}, named(found.words), found.purpose ? el("small", {}, found.purpose) : null),
    change(found),
    el("h3", {}, say("members")),
    table(
      [{ title: say("customer"), cell: (each) =>
         el("a", { href: `#customer/${encodeURIComponent(each.customer_id)}` }, each.name ?? each.customer_id) },
       { title: say("since"), cell: (each) => day(each.entered_at) }],
      members.items, say("nobody")),
    next !== null ? button(say("next"), () => go(segment(code, next))) : el("span"),
  ];
};

/** A rule can be sent back as it was read; here as text that somebody may edit. */
function change(found: Segment): HTMLElement {
  const text = el("textarea", { rows: "5", cols: "60", spellcheck: "false" }, JSON.stringify(found.rule, null, 1));
  const shown = el("div");
  const body = (): SegmentIn => ({
    name: found.name, parent: found.parent, owner: found.owner, purpose: found.purpose, rule: JSON.parse(text.value) as Rule,
  });
  const path = { code: found.code };
  return el("details", { open: true }, el("summary", {}, say("rule")), text,
    el("div", { class: "bar" },
      button(say("preview"), () => go(async () => {
        const told = await must(api.POST("/v1/segments/{code}/preview", { params: { path }, body: body() }));
        shown.replaceChildren("enter" in told ? counts(told) : await counted(told.id));
        return null;
      })),
      button(say("declare"), () => go(async () => {
        await must(api.PUT("/v1/segments/{code}", { params: { path, header: { "If-Match": `"${found.version}"` } }, body: body() }));
        return segment(found.code)();
      }), "main")),
    shown);
}

function counts(told: Schemas["SegmentPreview"]): HTMLElement {
  const of = (title: string, count: Schemas["SegmentCount"] | null) => el("div", {}, el("dt", {}, title),
    el("dd", {}, number(count?.customers ?? 0), el("small", {}, money(count?.revenue))));
  return el("dl", { class: "figures" }, of(say("members"), told.before), of(say("enter"), told.enter),
    of(say("leave"), told.leave), of(say("after"), told.after));
}

async function counted(id: string): Promise<HTMLElement> {
  const done = await outcome(id);
  const groups = done.kind === "customer_aggregate" && done.result ? done.result.groups : [];
  return el("p", {}, groups.map((each) => `${each.by.join(" / ")}: ${number(each.customers)}`).join("; "));
}
