// Any report, drawn from what it says of its own columns.
import { api, must, outcome, type Schemas } from "./api.ts";
import { choice, el, table } from "./dom.ts";
import { go } from "./main.ts";
import { money, named, number, percent, say } from "./words.ts";

type Report = Schemas["Report"];
type Column = Schemas["ReportColumn"];
type Row = Report["rows"][number];

let name = "flow";
let by: string | undefined;

export async function reports(): Promise<Node[]> {
  const [offered, told] = await Promise.all([
    must(api.GET("/v1/reports")),
    must(api.GET("/v1/reports/{name}", { params: { path: { name }, query: { ...(by && { by }) } } })).then(settled),
  ]);
  const ways = offered.items.find((each) => each.name === name)?.by ?? [];
  const cells = told.columns.map((column) => ({
    title: named(column.title), number: !["code", "text", "month", "day"].includes(column.type),
    cell: (row: Row) => (row === told.totals && !(column.name in row) ? "" : shown(column, row[column.name])),
  }));
  const rows = told.totals ? [...told.rows, told.totals] : told.rows;
  return [
    el("div", { class: "bar" },
      choice(offered.items.map((each) => [each.name, named(each.title)]), name,
        (chosen) => { name = chosen; by = undefined; return go(reports); }),
      el("label", {}, say("by"), choice(ways.map((each) => [each.code, named(each.name)]), told.by,
        (chosen) => { by = chosen; return go(reports); })),
      el("span", { class: "quiet" }, `${told.from} – ${told.to}`)),
    el("div", { class: told.totals ? "report totals" : "report" }, table(cells, rows, say("nobody"))),
    el("ul", { class: "quiet" }, told.notes.map((each) => el("li", {}, named(each.text)))),
  ];
}

/** What takes long is an operation: wait for it. */
async function settled(asked: Report | Schemas["ReportOperation"]): Promise<Report> {
  if ("columns" in asked) return asked;
  const done = await outcome(asked.id);
  if (done.kind !== "report" || !done.result) throw new Error(done.kind);
  return done.result;
}

function shown(column: Column, cell: Row[string] | undefined): string {
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number") return column.type === "share" ? percent(cell) : number(cell);
  if (typeof cell === "string") return named(column.words.find((each) => each.code === cell)?.name) || cell;
  if ("currency" in cell) return money(cell);
  return cell.share === null ? "–" : `${percent(cell.share)} (${cell.n}/${cell.of})`;
}
