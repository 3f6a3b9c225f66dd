// Checkpoints and savepoints: how often, how large, how long, and one in detail by vertex.

import type { Checkpoint } from "../api";
import { bytes, duration, plural, whole, words } from "../format";
import { href } from "../route";
import type { State } from "../store";
import { Card, Empty, Facts, Loading, Moment, StatePill, Table } from "../ui/parts";
import "../ui/list.css";
import "./checkpoints.css";

const kindOf = (checkpoint: Checkpoint): string =>
  checkpoint.is_savepoint ? words(checkpoint.checkpoint_type) : "checkpoint";

export function Checkpoints({ state }: { state: State }) {
  const { checkpoints, job } = state;
  if (!job)
    return (
      <Card>
        <Empty title="No job yet" />
      </Card>
    );
  if (!checkpoints)
    return (
      <Card>
        <Empty title="Checkpoints are switched off">Set execution.checkpointing.interval to take them.</Empty>
      </Card>
    );
  const { counts, summary, history } = checkpoints;
  const restored = checkpoints.latest.restored;
  const spread = (name: keyof typeof summary, format: (value: number) => string) => {
    const it = summary[name];
    return it.p50 === "NaN" || it.p99 === "NaN" ? "–" : `${format(it.p50)} · ${format(it.p99)}`;
  };
  return (
    <>
      <Card title="Checkpoints">
        <Facts
          facts={[
            { name: "completed", value: whole(counts.completed) },
            { name: "under way", value: whole(counts.in_progress) },
            { name: "failed", value: whole(counts.failed) },
            { name: "restored", value: whole(counts.restored) },
            { name: "duration, median · 99 %", value: spread("end_to_end_duration", duration) },
            { name: "written, median · 99 %", value: spread("checkpointed_size", bytes) },
            { name: "state, median · 99 %", value: spread("state_size", bytes) },
            restored?.id === undefined ? null : { name: "last restored from", value: `${restored.id}` },
          ]}
        />
        <Durations history={history} />
      </Card>
      <Card title="History" note={`the last ${history.length}`}>
        {history.length === 0 ? (
          <Empty title="None yet">The first one is due.</Empty>
        ) : (
          <ol class="list">
            {history.map((checkpoint) => {
              const id = String(checkpoint.id);
              const opened = state.route.item === id;
              return (
                <li key={id} class={opened ? "opened" : ""} data-checkpoint={id}>
                  <a
                    class="line"
                    href={href("checkpoints", opened ? null : id, state.route.job)}
                    aria-expanded={opened}
                  >
                    <b class="change">{id}</b>
                    <span class="grow quiet">{kindOf(checkpoint)}</span>
                    {checkpoint.status !== "COMPLETED" && <StatePill state={checkpoint.status} />}
                    <span class="number">{bytes(checkpoint.checkpointed_size)}</span>
                    <span class="number">{duration(checkpoint.end_to_end_duration)}</span>
                    <span class="number quiet">
                      <Moment at={checkpoint.trigger_timestamp} now={job.now} />
                    </span>
                  </a>
                  {opened && <Detail state={state} checkpoint={checkpoint} />}
                </li>
              );
            })}
          </ol>
        )}
      </Card>
    </>
  );
}

/** One bar a checkpoint, oldest first. */
function Durations({ history }: { history: Checkpoint[] }) {
  const bars = [...history].reverse();
  const most = Math.max(1, ...bars.map((it) => it.end_to_end_duration));
  if (bars.length < 2) return null;
  return (
    <svg
      class="bars"
      viewBox={`0 0 ${bars.length * 10} 40`}
      preserveAspectRatio="none"
      role="img"
      aria-label="Durations, oldest first"
    >
      {bars.map((it, index) => {
        const height = Math.max(1.5, (Math.max(0, it.end_to_end_duration) / most) * 38);
        return (
          <rect
            key={it.id}
            class={it.status === "FAILED" ? "bad" : it.is_savepoint ? "savepoint" : ""}
            x={index * 10 + 1}
            width="8"
            y={40 - height}
            height={height}
          >
            <title>{`${it.id}: ${duration(it.end_to_end_duration)}, ${bytes(it.checkpointed_size)}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}

function Detail({ state, checkpoint }: { state: State; checkpoint: Checkpoint }) {
  const detail = state.checkpoint?.id === checkpoint.id ? state.checkpoint : null;
  const names = new Map(state.job!.vertices.map((vertex) => [vertex.id, vertex.name]));
  const tasks = Object.entries(detail?.tasks ?? {});
  return (
    <div class="detail">
      <Facts
        facts={[
          { name: "state", value: <StatePill state={checkpoint.status} /> },
          {
            name: "written",
            value: bytes(checkpoint.checkpointed_size),
            title: "what this checkpoint added to the storage",
          },
          { name: "state it stands for", value: bytes(checkpoint.state_size) },
          {
            name: "acknowledged",
            value: `${checkpoint.num_acknowledged_subtasks} of ${plural(checkpoint.num_subtasks, "subtask")}`,
          },
          checkpoint.failure_timestamp === undefined
            ? null
            : { name: "failed", value: <Moment at={checkpoint.failure_timestamp} now={state.job!.now} /> },
        ]}
      />
      {checkpoint.failure_message && <p class="note bad">{checkpoint.failure_message}</p>}
      {checkpoint.external_path && (
        <p class="path">
          <code>{checkpoint.external_path}</code>
          {checkpoint.discarded && <span class="quiet"> · deleted since</span>}
        </p>
      )}
      {!detail ? (
        <Loading what="its vertices" />
      ) : tasks.length === 0 ? null : (
        <Table
          label="Vertices"
          rows={tasks}
          keyOf={([id]) => id}
          columns={[
            { title: "Vertex", of: ([id]) => names.get(id) ?? id },
            {
              title: "Acknowledged",
              class: "number",
              of: ([, it]) => `${it.num_acknowledged_subtasks} / ${it.num_subtasks}`,
            },
            { title: "Written", class: "number", of: ([, it]) => bytes(it.checkpointed_size) },
            { title: "State", class: "number", of: ([, it]) => bytes(it.state_size) },
            { title: "Duration", class: "number", of: ([, it]) => duration(it.end_to_end_duration) },
          ]}
        />
      )}
    </div>
  );
}
