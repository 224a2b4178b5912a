// Elements without a framework: el("td", { class: "number" }, "12.50").
type Child = Node | string | null | undefined | Child[];
type Properties = Record<string, string | boolean | ((event: Event) => void)>;

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...flat(children));
  return made;
}

function flat(children: Child[]): (Node | string)[] {
  return children.flatMap((each) =>
    Array.isArray(each) ? flat(each) : each === null || each === undefined ? [] : [each],
  );
}

export function button(words: string, act: () => unknown, kind = ""): HTMLButtonElement {
  return el("button", { type: "button", class: kind, click: () => void act() }, words);
}

export interface Column<Row> {
  title: string;
  cell: (row: Row) => Child;
  number?: boolean;
}

export function table<Row>(columns: Column<Row>[], rows: Row[], none: string): HTMLElement {
  if (!rows.length) return el("p", { class: "quiet" }, none);
  const kind = (column: Column<Row>) => (column.number ? "number" : "");
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, columns.map((each) => el("th", { class: kind(each) }, each.title)))),
      el("tbody", {}, rows.map((row) =>
        el("tr", {}, columns.map((each) => el("td", { class: kind(each) }, each.cell(row)))),
      )),
    ),
  );
}

export function choice(
  options: [value: string, words: string][],
  chosen: string,
  act: (value: string) => unknown,
): HTMLSelectElement {
  const made = el(
    "select",
    {},
    options.map(([value, words]) => el("option", { value, selected: value === chosen }, words)),
  );
  made.addEventListener("change", () => void act(made.value));
  return made;
}
