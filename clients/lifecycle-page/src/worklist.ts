// Whom to call today: why, what to do, what it is worth; and what came of it.
import { api, must, type Schemas } from "./api.ts";
import { button, choice, el, table, type Column } from "./dom.ts";
import { go } from "./main.ts";
import { day, money, named, say, word } from "./words.ts";

type Line = Schemas["WorkLine"];
let owner = "";

export async function worklist(): Promise<Node[]> {
  const query = { limit: 50, ...(owner && { owner }) };
  const [list, owners] = await Promise.all([
    must(api.GET("/v1/worklist", { params: { query } })),
    must(api.POST("/v1/customers/aggregate", { body: { by: [{ of: "owner" }] } })),
  ]);
  const names = "groups" in owners ? owners.groups.map((each) => each.by[0]) : [];
  const known = names.filter((each) => typeof each === "string");
  const done = list.done_today === null ? "" : ` · ${list.done_today} / ${list.lines_a_day} ${say("done")}`;
  return [
    el(
      "div",
      { class: "bar" },
      el("label", {}, say("owner"), choice(
        [["", say("everybody")], ...known.map((each): [string, string] => [each, each])],
        owner,
        (chosen) => { owner = chosen; return go(worklist); },
      )),
      el("span", { class: "quiet" }, `${list.date}${done}`),
    ),
    table(columns, list.items, say("nobody")),
    el("p", { class: "quiet" }, list.more ? say("more") : ""),
  ];
}

const columns: Column<Line>[] = [
  { get title() { return say("customer"); }, cell: (line) => [
    el("a", { href: `#customer/${encodeURIComponent(line.customer_id)}` }, line.name ?? line.customer_id),
    el("small", {}, [named(line.stage.name) || line.stage.code, line.owner].filter(Boolean).join(" · ")),
    el("small", {}, line.reach.phone ?? line.reach.email),
  ] },
  { get title() { return say("why"); }, cell: (line) => [
    line.reasons.map((why) => el("p", { class: why.duty }, el("b", {}, named(why.name)), ` ${named(why.sentence)}`,
      why.since ? el("small", {}, `${say("since")} ${why.since}`) : null)),
    el("small", {}, named(line.about)),
  ] },
  { get title() { return say("todo"); }, cell: (line) =>
    el("ul", {}, [
      ...line.reasons.flatMap((why) => (why.action ? [el("li", {}, el("b", {}, named(why.action)))] : [])),
      ...line.next_actions.map((each) => el("li", {}, named(each.name))),
    ]) },
  { get title() { return say("toSave"); }, number: true, cell: (line) => money(line.value_to_save) },
  { get title() { return say("lastContact"); }, cell: (line) =>
    line.last_contact
      ? [word("interaction", line.last_contact.kind), el("small", {}, day(line.last_contact.occurred_at))]
      : say("never") },
  { title: "", cell: (line) => el("div", { class: "acts" },
    button(say("called"), () => go(() => record(line, { kind: "call", outcome: "reached" })), "main"),
    button(say("notReached"), () => go(() => record(line, { kind: "call", outcome: "not_reached" }))),
    button(say("snooze"), () => go(() => record(line, { kind: "snoozed", attributes: { until: inDays(7) } })))) },
];

const inDays = (days: number): string =>
  new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

/** A line is done when a contact is recorded: then the list is asked for anew. */
async function record(
  line: Line,
  what: Pick<Schemas["InteractionIn"], "kind" | "outcome" | "attributes">,
): Promise<Node[]> {
  const occurred_at = new Date().toISOString();
  const interaction_id = crypto.randomUUID();
  const body = { customer_id: line.customer_id, interaction_id, occurred_at, ...what };
  await must(api.POST("/v1/interactions", { body }));
  return worklist();
}
