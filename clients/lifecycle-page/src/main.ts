// The frame: who calls, in which language, and which of the doors is open.
import { connect, type Access } from "./api.ts";
import { button, el } from "./dom.ts";
import { file } from "./file.ts";
import { query } from "./query.ts";
import { reports } from "./reports.ts";
import { segment, segments } from "./segments.ts";
import { language, learnWords, say, speak } from "./words.ts";
import { worklist } from "./worklist.ts";

type Page = () => Promise<Node[] | null>;
const DOORS = { worklist, query, segments, reports } as const;
const header = document.querySelector("header")!;
const main = document.querySelector("main")!;

/** Show a page; null leaves what is there. What is refused is said above it. */
export async function go(page: Page): Promise<void> {
  main.setAttribute("aria-busy", "true");
  document.querySelector(".problem")?.remove();
  try {
    const nodes = await page();
    if (nodes) main.replaceChildren(...nodes);
  } catch (error) {
    main.prepend(el("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
  main.removeAttribute("aria-busy");
}

function route(): void {
  const [door = "", id = ""] = location.hash.slice(1).split("/");
  frame(door);
  if (door === "customer") void go(file(decodeURIComponent(id)));
  else if (door === "segment") void go(segment(id));
  else void go(DOORS[door as keyof typeof DOORS] ?? worklist);
}

function frame(door: string): void {
  const doors = Object.keys(DOORS) as (keyof typeof DOORS)[];
  const open = door in DOORS ? door : door === "segment" ? "segments" : "worklist";
  header.replaceChildren(
    el("strong", {}, "CLM"),
    el("nav", {}, doors.map((each) => el("a", { href: `#${each}`, class: each === open ? "open" : "" }, say(each)))),
    button(language === "en" ? "中文" : "English", () => { speak(language === "en" ? "zh" : "en"); route(); }),
  );
}

function ask(): void {
  const service = el("input", { value: "http://127.0.0.1:8000", size: "28" });
  const key = el("input", { type: "password", size: "40", required: true });
  const submit = (event: Event) => {
    event.preventDefault();
    void start({ service: service.value, key: key.value });
  };
  main.replaceChildren(el("form", { class: "bar", submit }, el("label", {}, say("service"), service),
    el("label", {}, say("key"), key), el("button", { class: "main" }, say("connect"))));
}

async function start(access: Access): Promise<void> {
  connect(access);
  await go(async () => {
    await learnWords();
    sessionStorage.setItem("access", JSON.stringify(access));
    addEventListener("hashchange", route);
    route();
    return null;
  });
}

speak(language);
const kept = sessionStorage.getItem("access");
if (kept) void start(JSON.parse(kept) as Access);
else ask();
