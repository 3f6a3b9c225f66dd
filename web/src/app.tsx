// The frame around the views: whose page it is, where one can go, how the connection is.

import { Component, type ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { duration, sentence, words } from "./format";
import { href, TITLES, VIEWS, type View } from "./route";
import type { State } from "./store";
import { chooseTheme, chosenTheme, type Theme } from "./theme";
import { type Action, ActionDialog, actionsOf } from "./ui/actions";
import { Icon } from "./ui/icons";
import { Card, Loading, moodOf } from "./ui/parts";
import { Checkpoints } from "./views/checkpoints";
import { Configuration } from "./views/configuration";
import { Exceptions } from "./views/exceptions";
import { GraphView } from "./views/graph";
import { Overview } from "./views/overview";
import { TaskManagers } from "./views/taskmanagers";
import { Timeline } from "./views/timeline";
import "./app.css";

/** A late answer is no news before that. */
const LATE_MS = 4000;

export function App({ state }: { state: State }) {
  const [action, setAction] = useState<Action | null>(null);
  const { job, route } = state;
  const actions = actionsOf(job, state.config);
  const age = state.lastAnswer === null ? null : Date.now() - state.lastAnswer;
  const lost = state.trouble !== null || (age !== null && age > LATE_MS);
  document.title = job ? `${job.name} · ${words(job.state)} · Reflow` : "Reflow";
  return (
    <div class="app">
      {/* biome-ignore lint/a11y/useValidAnchor: leads within the page; the address is the view's, so it stays */}
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={href("overview", null, route.job)}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2 5c4 0 4 6 8 6h4M2 11c4 0 4-6 8-6h4" />
          </svg>
          <span>Reflow</span>
        </a>
        {job && (
          <div class="job">
            {state.jobs.length > 1 ? (
              <select
                aria-label="Job"
                value={job.jid}
                onChange={(event) => {
                  location.hash = href(route.view, null, event.currentTarget.value);
                }}
              >
                {state.jobs.map((it) => (
                  <option key={it.jid} value={it.jid}>{`${it.name} (${words(it.state)})`}</option>
                ))}
              </select>
            ) : (
              <h1 title={job.jid}>{job.name}</h1>
            )}
            <span class={`dot ${moodOf(job.state)}`}>{sentence(words(job.state))}</span>
          </div>
        )}
        <div class="tools">
          {actions.map((it) => (
            <button
              key={it.name}
              type="button"
              class={`button ${it.danger ? "risky" : ""}`}
              onClick={() => setAction(it)}
            >
              {it.name}
            </button>
          ))}
        </div>
        <ThemeButton />
      </header>
      <nav aria-label="Views">
        {VIEWS.map((view) => (
          <a key={view} href={href(view, null, route.job)} aria-current={route.view === view ? "page" : undefined}>
            <Icon name={view} />
            <span>{TITLES[view]}</span>
            <Badge state={state} view={view} />
          </a>
        ))}
        <p class="version quiet small">{state.overview ? `Reflow ${state.overview["flink-version"]}` : ""}</p>
      </nav>
      <main id="content" tabIndex={-1} class={lost && state.lastAnswer !== null ? "stale" : ""}>
        {lost && <Lost state={state} age={age} />}
        <Guard at={location.hash}>
          <ViewOf state={state} ask={setAction} />
        </Guard>
      </main>
      <ActionDialog action={action} onClose={() => setAction(null)} />
    </div>
  );
}

/** A view that cannot be drawn says so, and takes nothing else with it. */
class Guard extends Component<{ at: string; children: ComponentChildren }, { broken: string | null; at: string }> {
  state = { broken: null, at: this.props.at };

  static getDerivedStateFromProps(props: { at: string }, state: { broken: string | null; at: string }) {
    return props.at === state.at ? null : { broken: null, at: props.at };
  }

  componentDidCatch(error: unknown) {
    console.error(error);
    this.setState({ broken: String(error) });
  }

  render() {
    if (this.state.broken === null) return this.props.children;
    return (
      <Card>
        <div class="empty">
          <p>This view cannot be shown</p>
          <p class="quiet">{this.state.broken}</p>
        </div>
      </Card>
    );
  }
}

function Lost({ state, age }: { state: State; age: number | null }) {
  const since = age === null ? "" : ` for ${age < 60_000 ? `${Math.round(age / 1000)} s` : duration(age)}`;
  return (
    <div class="lost" role="alert">
      <b>No answer from the JobManager{since}</b>
      <span>
        {age === null
          ? "It is asked again each second."
          : "What is below is from before. It is asked again each second."}
      </span>
      {state.trouble && <span class="quiet small">{state.trouble}</span>}
    </div>
  );
}

function Badge({ state, view }: { state: State; view: View }) {
  const failures = state.exceptions?.exceptionHistory.entries.length ?? 0;
  if (view === "exceptions" && failures > 0) return <span class="badge bad">{failures}</span>;
  if (view === "taskmanagers" && state.overview) return <span class="badge">{state.overview.taskmanagers}</span>;
  return null;
}

function ViewOf({ state, ask }: { state: State; ask: (action: Action) => void }) {
  if (state.lastAnswer === null)
    return (
      <Card>
        <Loading what="the cluster" />
      </Card>
    );
  const onVertex = (id: string | null) => {
    location.hash = href("graph", id, state.route.job);
  };
  switch (state.route.view) {
    case "overview":
      return <Overview state={state} onVertex={onVertex} />;
    case "graph":
      return <GraphView state={state} onVertex={onVertex} />;
    case "timeline":
      return <Timeline state={state} />;
    case "checkpoints":
      return <Checkpoints state={state} />;
    case "exceptions":
      return <Exceptions state={state} />;
    case "taskmanagers":
      return <TaskManagers state={state} ask={ask} />;
    case "configuration":
      return <Configuration state={state} />;
  }
}

const THEMES: { theme: Theme; icon: "auto" | "sun" | "moon"; name: string }[] = [
  { theme: "auto", icon: "auto", name: "as the system" },
  { theme: "light", icon: "sun", name: "light" },
  { theme: "dark", icon: "moon", name: "dark" },
];

function ThemeButton() {
  const [theme, setTheme] = useState(chosenTheme());
  const index = THEMES.findIndex((it) => it.theme === theme);
  const { icon, name } = THEMES[index]!;
  const next = THEMES[(index + 1) % THEMES.length]!;
  return (
    <button
      type="button"
      class="button icon-only theme"
      aria-label={`Colours: ${name}. Switch to ${next.name}`}
      title={`Colours: ${name}`}
      onClick={() => {
        chooseTheme(next.theme);
        setTheme(next.theme);
      }}
    >
      <Icon name={icon} />
    </button>
  );
}
