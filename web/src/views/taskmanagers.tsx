// TaskManagers: slots, memory, when each was last heard, and its logs; and those of the JobManager.

import type { TaskManager } from "../api";
import { bytes, count, duration, percent, plural } from "../format";
import { href } from "../route";
import type { State } from "../store";
import { type Action, drain, isOn } from "../ui/actions";
import { Logs } from "../ui/log";
import { Bar, Card, Empty, Facts, Loading } from "../ui/parts";
import "../ui/list.css";
import "./taskmanagers.css";

export function TaskManagers({ state, ask }: { state: State; ask: (action: Action) => void }) {
  const managers = state.taskManagers;
  if (!managers)
    return (
      <Card>
        <Loading what="the TaskManagers" />
      </Card>
    );
  const now = state.job?.now ?? Date.now();
  const slots = managers.reduce((sum, it) => sum + it.slotsNumber, 0);
  return (
    <>
      <Card
        title="TaskManagers"
        note={
          managers.length ? `${plural(managers.length, "process", "processes")}, ${plural(slots, "slot")}` : undefined
        }
      >
        {managers.length === 0 && <Empty title="None">Start one with ./bin/taskmanager.sh start</Empty>}
        <ol class="list">
          {managers.map((manager) => {
            const opened = state.route.item === manager.id;
            const heard = Math.max(0, now - manager.timeSinceLastHeartbeat);
            return (
              <li key={manager.id} class={opened ? "opened" : ""} data-taskmanager={manager.id}>
                <a
                  class="line"
                  href={href("taskmanagers", opened ? null : manager.id, state.route.job)}
                  aria-expanded={opened}
                >
                  <b class="grow">{manager.path}</b>
                  <Slots manager={manager} />
                  <span class="number">
                    {manager.assignedTasks === undefined ? "" : plural(manager.assignedTasks, "task")}
                  </span>
                  <span class={`number ${heard > 10_000 ? "bad" : "quiet"}`}>
                    {heard < 3000 ? "heard just now" : `heard ${duration(heard)} ago`}
                  </span>
                </a>
                {opened && (
                  <Detail
                    manager={manager}
                    detail={state.taskManager}
                    mayDrain={isOn(state.config, "web-rescale")}
                    ask={ask}
                  />
                )}
              </li>
            );
          })}
        </ol>
      </Card>
      <Card title="JobManager">
        <Logs process="jobmanager" />
      </Card>
    </>
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
      <span>
        {used} / {manager.slotsNumber}
      </span>
    </span>
  );
}

interface DetailProps {
  manager: TaskManager;
  detail: TaskManager | null;
  mayDrain: boolean;
  ask: (action: Action) => void;
}

function Detail({ manager, detail, mayDrain, ask }: DetailProps) {
  const limit = manager.memoryConfiguration.totalProcessMemory ?? 0;
  const used = detail?.metrics?.heapUsed;
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
          { name: "machine's memory", value: bytes(manager.hardware.physicalMemory) },
          ...parts
            .filter((part) => part.size > 0)
            .map((part) => ({ name: `for ${part.name}`, value: bytes(part.size) })),
        ]}
      />
      {used !== undefined && limit > 0 && (
        <Bar label={`${percent(used / limit)} of its memory in use`} parts={[{ kind: "busy", share: used / limit }]} />
      )}
      <Logs process={`taskmanagers/${encodeURIComponent(manager.id)}`} />
      {mayDrain && (
        <p>
          <button type="button" class="button" onClick={() => ask(drain(manager.id, manager.path))}>
            Drain …
          </button>
        </p>
      )}
    </div>
  );
}
