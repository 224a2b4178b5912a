// All that is known of one customer, in one call.
import { api, must, type Schemas } from "./api.ts";
import { el, table } from "./dom.ts";
import { day, money, named, number, percent, say, title, word } from "./words.ts";

type File = Schemas["CustomerFile"];

export const file = (customer_id: string) => async (): Promise<Node[]> => {
  const path = { customer_id };
  const found = await must(api.GET("/v1/customers/{customer_id}/file", { params: { path } }));
  const { customer, scores, stage, worklist } = found;
  return [
    el("h2", {}, customer.name ?? customer.customer_id),
    scores ? el("p", {}, named(scores.sentence)) : null,
    el("dl", { class: "figures" },
      figure(say("stage"), word("stage", stage.stage), `${say("since")} ${day(stage.since)}`),
      scores ? worth(scores) : null),
    (worklist?.reasons ?? []).map((why) => el("p", { class: why.duty }, el("b", {}, named(why.name)), ` ${named(why.sentence)}`)),
    scores ? section(say("todo"), el("ul", {}, scores.next_actions.map((each) => el("li", {}, named(each.name))))) : null,
    section(say("segments"), segments(found)),
    section(say("history"), table(
      [{ title: say("since"), cell: (move) => day(move.effective_at) },
       { title: say("stage"), cell: (move) => `${word("stage", move.from_stage)} → ${word("stage", move.to_stage)}` }],
      found.transitions, say("nobody"))),
    section(say("habits"), habits(found.habits)),
    section(say("contacts"), table(
      [{ title: say("on"), cell: (each) => day(each.occurred_at) },
       { title: say("kind"), cell: (each) => [word("interaction", each.kind), each.outcome].filter(Boolean).join(" · ") },
       { title: "", cell: (each) => each.text }],
      found.interactions, say("never"))),
    section(say("profile"), profile(found)),
  ].flat().filter((each) => each !== null);
};

/** Without the scope `scores:read` there is none of it. */
const worth = (scores: Schemas["Scores"]) => [
  figure(say("revenue"), money(scores.revenue)),
  figure(say("clv"), money(scores.clv?.value)),
  figure(say("toSave"), money(scores.value_to_save)),
  scores.rhythm ? figure(title("rhythm"), word("rhythm", scores.rhythm.status)) : null,
];

const figure = (heading: string, value: string, small = "") =>
  el("div", {}, el("dt", {}, heading), el("dd", {}, value, small ? el("small", {}, small) : null));

const section = (heading: string, content: Node) => el("section", {}, el("h3", {}, heading), content);

function segments({ segments: own }: File): HTMLElement {
  return table(
    [{ title: say("segments"), cell: (each) => named(each.name) },
     { title: "", cell: (each) => each.inside
       ? `${say("inside")} ${each.entered_at ? `${say("since")} ${day(each.entered_at)}` : ""}` : say("outside") },
     { title: say("nearest"), cell: (each) => each.nearest?.turns.map((turn) =>
       el("p", {}, named(turn.words), turn.must_hold ? "" : ` (${say("mustNot")})`,
         turn.on ? el("small", {}, turn.on) : null)) }],
    own.items, say("nobody"));
}

function habits(own: File["habits"]): HTMLElement {
  if (!own) return el("p", { class: "quiet" }, say("never"));
  const monday = Date.UTC(2024, 0, 1);
  const weekday = new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "short", timeZone: "UTC" });
  return el("div", {},
    el("p", {}, `${say("purchases")}: ${number(own.purchases)} · ${say("median")}: ${money(own.basket.median)}`),
    el("div", { class: "bars" }, own.weekdays.map((each) => el("div", {},
      el("i", { style: `height:${Math.round(each.share * 100)}px`, title: percent(each.share) }),
      weekday.format(monday + (each.weekday - 1) * 86_400_000)))));
}

function profile({ customer, provenance }: File): HTMLElement {
  const attributes = Object.entries(customer.attributes).map(([key, value]) => [`attributes.${key}`, value]);
  const values: Record<string, unknown> = { ...customer, ...Object.fromEntries(attributes) };
  return table(
    [{ title: say("profile"), cell: (each) => each.field },
     { title: "", cell: (each) => typeof values[each.field] === "object" ? JSON.stringify(values[each.field]) : String(values[each.field]) },
     { title: say("toldBy"), cell: (each) => `${each.source} · ${day(each.recorded_at)}` }],
    provenance, say("nobody"));
}
