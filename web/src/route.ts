// The address within the page: `#/view`, `#/view/item`, with `?job=` where the cluster has several.

export const VIEWS = [
  "overview",
  "graph",
  "timeline",
  "checkpoints",
  "exceptions",
  "taskmanagers",
  "configuration",
] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  view: View;
  item: string | null;
  job: string | null;
}

export const TITLES: Record<View, string> = {
  overview: "Overview",
  graph: "Job graph",
  timeline: "Time line",
  checkpoints: "Checkpoints",
  exceptions: "Exceptions",
  taskmanagers: "TaskManagers",
  configuration: "Configuration",
};

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An address that names no view is the overview's. */
export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, item] = path.split("/").map(decode);
  return {
    view: VIEWS.find((known) => known === view) ?? "overview",
    item: item || null,
    job: new URLSearchParams(query).get("job"),
  };
}

export function href(view: View, item?: string | null, job?: string | null): string {
  const tail = item ? `/${encodeURIComponent(item)}` : "";
  return `#/${view}${tail}${job ? `?job=${encodeURIComponent(job)}` : ""}`;
}
