// TaskManagers: slots, memory, processor, and their logs, which are followed.

import { useEffect, useRef, useState } from "preact/hooks";
import { type LogFile, type TaskManager, find, getText } from "../api";
import { bytes, count, duration, percent, plural } from "../format";
import { href } from "../route";
import type { State } from "../store";
import { type Action, drain, isOn } from "../ui/actions";
import { Bar, Card, Empty, Facts, Loading } from "../ui/parts";

export function TaskManagers({ state, ask }: { state: State; ask: (action: Action) => void }) {
  const managers = state.taskManagers;
  if (!managers) return <Card><Loading what="the TaskManagers" /></Card>;
  const now = state.job?.now ?? Date.now();
  const slots = managers.reduce((sum, it) => sum + it.slotsNumber, 0);
  return (
    <Card title="TaskManagers" note={managers.length ? `${plural(managers.length, "process", "processes")}, ${plural(slots, "slot")}` : undefined}>
      {managers.length === 0 && <Empty title="None">Start one with ./bin/taskmanager.sh start</Empty>}
      <ol class="list">
        {managers.map((manager) => {
          const opened = state.route.item === manager.id;
          const heard = Math.max(0, now - manager.timeSinceLastHeartbeat);
          return (
            <li key={manager.id} class={opened ? "opened" : ""} data-taskmanager={manager.id}>
              <a class="line" href={href("taskmanagers", opened ? null : manager.id, state.route.job)} aria-expanded={opened}>
                <b class="grow">{manager.path}</b>
                <Slots manager={manager} />
                <span class="number">{manager.assignedTasks === undefined ? "" : plural(manager.assignedTasks, "task")}</span>
                <span class={`number ${heard > 10_000 ? "bad" : "quiet"}`}>{heard < 3000 ? "heard just now" : `heard ${duration(heard)} ago`}</span>
              </a>
              {opened && <Detail manager={manager} mayDrain={isOn(state.config, "web-rescale")} ask={ask} />}
            </li>
          );
        })}
      </ol>
    </Card>
  );
}

/** One square a slot, filled if it is used. */
function Slots({ manager }: { manager: TaskManager }) {
  const used = manager.slotsNumber - manager.freeSlots;
  const said = `${used} of ${plural(manager.slotsNumber, "slot")} in use`;
  return (
    <span class="slots" role="img" aria-label={said} title={said}>
      {manager.slotsNumber <= 16 &&
        Array.from({ length: manager.slotsNumber }, (_, index) => <i key={index} class={index < used ? "used" : ""} />)}
      <span>{used} / {manager.slotsNumber}</span>
    </span>
  );
}

const CPU = "Status.JVM.CPU.Load";

function Detail({ manager, mayDrain, ask }: { manager: TaskManager; mayDrain: boolean; ask: (action: Action) => void }) {
  const [detail, setDetail] = useState<TaskManager | null>(null);
  const [cpu, setCpu] = useState<number | null>(null);
  const path = `taskmanagers/${encodeURIComponent(manager.id)}`;
  useEffect(() => {
    let over = false;
    const ask = async () => {
      const [detail, metrics] = await Promise.all([
        find<TaskManager>(path).catch(() => null),
        find<{ id: string; value: string }[]>(`${path}/metrics?get=${CPU}`).catch(() => null),
      ]);
      if (over) return;
      if (detail) setDetail(detail);
      const load = Number(metrics?.find((metric) => metric.id === CPU)?.value);
      setCpu(metrics?.length && Number.isFinite(load) ? load : null);
    };
    void ask();
    const timer = setInterval(ask, 2000);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [path]);
  const limit = manager.memoryConfiguration["totalProcessMemory"] ?? 0;
  const used = detail?.metrics?.["heapUsed"];
  const parts = (["taskHeap", "managedMemory", "networkMemory"] as const).map((name) => ({
    name: { taskHeap: "user code", managedMemory: "state", networkMemory: "network" }[name],
    size: manager.memoryConfiguration[name] ?? 0,
  }));
  return (
    <div class="detail">
      <Facts
        facts={[
          { name: "id", value: <code>{manager.id}</code> },
          { name: "memory in use", value: `${bytes(used)} of ${bytes(limit)}` },
          { name: "cores", value: count(manager.hardware.cpuCores) },
          cpu === null ? null : { name: "processor", value: percent(cpu) },
          { name: "machine's memory", value: bytes(manager.hardware.physicalMemory) },
          ...parts.filter((part) => part.size > 0).map((part) => ({ name: `for ${part.name}`, value: bytes(part.size) })),
        ]}
      />
      {used !== undefined && limit > 0 && <Bar label={`${percent(used / limit)} of its memory in use`} parts={[{ kind: "busy", share: used / limit }]} />}
      {mayDrain && (
        <p>
          <button type="button" class="button" onClick={() => ask(drain(manager.id, manager.path))}>Drain …</button>
        </p>
      )}
      <Logs path={path} />
    </div>
  );
}

/** How much of a log's end is shown. */
const LOG_BYTES = 64 * 1024;

function Logs({ path }: { path: string }) {
  const [files, setFiles] = useState<LogFile[] | null | undefined>(undefined);
  const [file, setFile] = useState<string | null>(null);
  const [text, setText] = useState<string | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [follow, setFollow] = useState(true);
  const view = useRef<HTMLPreElement>(null);
  useEffect(() => {
    let over = false;
    find<{ logs: LogFile[] }>(`${path}/logs`)
      .then((answer) => {
        if (over) return;
        const logs = answer?.logs ?? null;
        setFiles(logs);
        setFile(logs?.find((it) => it.name.endsWith(".log"))?.name ?? logs?.[0]?.name ?? null);
      })
      .catch((error: Error) => !over && setTrouble(error.message));
    return () => {
      over = true;
    };
  }, [path]);
  useEffect(() => {
    if (!file) return;
    let over = false;
    const ask = () =>
      getText(`${path}/logs/${encodeURIComponent(file)}`, LOG_BYTES).then(
        (log) => {
          if (over) return;
          setText(log);
          setTrouble(null);
        },
        (error: Error) => !over && setTrouble(error.message),
      );
    void ask();
    const timer = follow ? setInterval(ask, 2000) : undefined;
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [path, file, follow]);
  useEffect(() => {
    if (follow && view.current) view.current.scrollTop = view.current.scrollHeight;
  }, [text, follow]);
  if (trouble && files === undefined) return <p class="note bad">{trouble}</p>;
  if (files === undefined) return <Loading what="its logs" />;
  if (files === null || files.length === 0) {
    return <p class="quiet small">Logs: this JobManager serves none of this TaskManager; they are where it was started, in log/.</p>;
  }
  return (
    <section class="logs" aria-label="Logs">
      <header>
        <label>
          <span class="quiet small">Log </span>
          <select value={file ?? ""} onChange={(event) => setFile(event.currentTarget.value)}>
            {files.map((it) => (
              <option key={it.name} value={it.name}>{`${it.name} (${bytes(it.size)})`}</option>
            ))}
          </select>
        </label>
        <label class="tick">
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
          <span>follow</span>
        </label>
      </header>
      {trouble && <p class="note bad">{trouble}</p>}
      <pre ref={view} class="text log" tabIndex={0}>{text ?? ""}</pre>
    </section>
  );
}
