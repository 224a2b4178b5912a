// What is said in which language: what the service names, and the few words of the page itself.
import { api, must, type Money, type Schemas } from "./api.ts";

export type Language = "en" | "zh";
type Named = Schemas["Named"];
export type Variable = Schemas["Variable"];

export let language: Language = navigator.language.startsWith("zh") ? "zh" : "en";
export const variables = new Map<string, Variable>();
const called = new Map<string, Named>();

export function speak(chosen: Language): void {
  language = chosen;
  document.documentElement.lang = chosen;
}

/** Read once what variables, their values and kinds of interactions are called. */
export async function learnWords(): Promise<void> {
  const [listed, kinds] = await Promise.all([
    must(api.GET("/v1/variables")),
    must(api.GET("/v1/interaction-kinds", { params: { query: { limit: 500 } } })),
  ]);
  for (const variable of listed.items) {
    variables.set(variable.name, variable);
    for (const word of variable.words) called.set(`${variable.name}:${word.code}`, word.name);
  }
  for (const kind of kinds.items) if (kind.name) called.set(`interaction:${kind.kind}`, kind.name);
}

export const named = (name: Named | null | undefined): string => name?.[language] ?? "";

export const title = (variable: string): string => named(variables.get(variable)?.title) || variable;

/** Say what a value of a variable is called, or the value itself. */
export function word(variable: string, code: string | null | undefined): string {
  return code ? named(called.get(`${variable}:${code}`)) || code : "";
}

export function money(value: Money | null | undefined): string {
  if (!value) return "–";
  const style = { style: "currency", currency: value.currency } as const;
  return new Intl.NumberFormat(language, style).format(Number(value.amount));
}

export const number = (value: number, digits = 2): string =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

export const percent = (share: number): string =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);

/** Days are days of the deployment, not of the browser: they are shown as they came. */
export const day = (value: string | null | undefined): string => value?.slice(0, 10) ?? "";

const SAID: Record<string, Named> = {
  worklist: { en: "Today", zh: "今日待办" },
  query: { en: "Query", zh: "查询" },
  segments: { en: "Segments", zh: "客群" },
  reports: { en: "Reports", zh: "报表" },
  owner: { en: "Owner", zh: "负责人" },
  everybody: { en: "everybody", zh: "全部" },
  customer: { en: "Customer", zh: "客户" },
  why: { en: "Why", zh: "原因" },
  since: { en: "since", zh: "自" },
  todo: { en: "What to do", zh: "建议行动" },
  toSave: { en: "Value to save", zh: "可挽回价值" },
  lastContact: { en: "Last contact", zh: "上次联系" },
  never: { en: "never", zh: "从未" },
  called: { en: "Called", zh: "已致电" },
  notReached: { en: "Not reached", zh: "未接通" },
  snooze: { en: "Snooze 7 days", zh: "暂缓7天" },
  done: { en: "done today", zh: "今日已完成" },
  more: { en: "There are more lines.", zh: "还有更多待办。" },
  nobody: { en: "None.", zh: "无。" },
  on: { en: "Day", zh: "日期" },
  kind: { en: "What happened", zh: "互动" },
  toldBy: { en: "Told by", zh: "来源" },
  median: { en: "Median purchase", zh: "单次消费中位数" },
  purchases: { en: "Purchases", zh: "购买次数" },
  mustNot: { en: "no longer", zh: "不再成立" },
  back: { en: "Back", zh: "返回" },
  stage: { en: "Stage", zh: "客户阶段" },
  history: { en: "History", zh: "阶段历史" },
  habits: { en: "Habits", zh: "购买习惯" },
  profile: { en: "Profile", zh: "客户资料" },
  contacts: { en: "Interactions", zh: "互动记录" },
  inside: { en: "inside", zh: "在其中" },
  outside: { en: "outside", zh: "不在其中" },
  nearest: { en: "What would change it", zh: "变化条件" },
  next: { en: "Next page", zh: "下一页" },
  first: { en: "First page", zh: "首页" },
  ask: { en: "Ask", zh: "查询" },
  add: { en: "Add a condition", zh: "添加条件" },
  sort: { en: "Sort by", zh: "排序" },
  descending: { en: "descending", zh: "降序" },
  count: { en: "Customers", zh: "客户数" },
  revenue: { en: "Revenue", zh: "收入" },
  clv: { en: "Lifetime value", zh: "终身价值" },
  members: { en: "Members", zh: "成员" },
  preview: { en: "Preview", zh: "预览" },
  declare: { en: "Declare", zh: "保存" },
  enter: { en: "enter", zh: "进入" },
  leave: { en: "leave", zh: "离开" },
  after: { en: "members then", zh: "之后成员" },
  total: { en: "Total", zh: "合计" },
  by: { en: "by", zh: "按" },
  rule: { en: "Rule", zh: "规则" },
  connect: { en: "Connect", zh: "连接" },
  service: { en: "Service", zh: "服务地址" },
  key: { en: "Key", zh: "密钥" },
  yes: { en: "yes", zh: "是" },
  no: { en: "no", zh: "否" },
};

export const say = (code: keyof typeof SAID & string): string => named(SAID[code]) || code;
