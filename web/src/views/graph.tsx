// The job graph over the whole page, and beside it the vertex that was opened: its subtasks, and how evenly records,
// state and work lie on them.

import type { SubtaskCheckpoint } from "../api";
import { bytes, count, duration, eventLag, iso, operators, percent, rate, whole } from "../format";
import type { State } from "../store";
import { DETAILED_VERTICES } from "../store";
import { Graph, Legend } from "../ui/graph";
import { Heat } from "../ui/heat";
import { Icon } from "../ui/icons";
import { Card, Empty, Facts, Loading, StatePill, Table } from "../ui/parts";
import "./graph.css";

/** Bytes of a subtask's state in a checkpoint; none until it has acknowledged. */
const stateSize = (subtask: SubtaskCheckpoint): number => (subtask.className === "completed" ? subtask.state_size : 0);

export function GraphView({ state, onVertex }: { state: State; onVertex: (id: string | null) => void }) {
  const { job } = state;
  if (!job)
    return (
      <Card>
        <Empty title="No job yet" />
      </Card>
    );
  const opened = job.vertices.find((vertex) => vertex.id === state.route.item);
  return (
    <div class={`graph-view ${opened ? "with-vertex" : ""}`}>
      <Card class="graph-card">
        <Graph
          compact={false}
          job={job}
          figures={state.figures}
          pressure={state.pressure}
          detailed={job.vertices.length <= DETAILED_VERTICES}
          opened={opened?.id ?? null}
          onOpen={onVertex}
        />
        <Legend />
      </Card>
      {opened && <VertexPanel state={state} id={opened.id} onClose={() => onVertex(null)} />}
    </div>
  );
}

function VertexPanel({ state, id, onClose }: { state: State; id: string; onClose: () => void }) {
  const job = state.job!;
  const vertex = job.vertices.find((it) => it.id === id)!;
  const figures = state.figures.get(id);
  const figure = (name: string) => figures?.get(name);
  const watermark = figure("currentInputWatermark")?.min;
  const pressure = state.pressure.get(id)?.subtasks ?? [];
  const subtasks = state.subtasks;
  const source = !job.plan.nodes.find((node) => node.id === id)?.inputs?.length;
  const sizes = state.stateSizes?.vertex === id ? state.stateSizes : null;
  const busyOf = new Map(pressure.map((it) => [it.subtask, it]));
  return (
    <Card
      class="vertex-panel"
      title={operators(vertex.name).join(" → ")}
      actions={
        <button type="button" class="button icon-only" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      }
    >
      <Facts
        facts={[
          { name: "parallelism", value: `${vertex.parallelism}` },
          { name: "key groups", value: whole(vertex.maxParallelism), title: "and so the greatest parallelism" },
          source ? null : { name: "records in", value: rate(figure("numRecordsInPerSecond")?.sum) },
          { name: "records out", value: rate(figure("numRecordsOutPerSecond")?.sum) },
          figure("pendingRecords") ? { name: "lag", value: count(figure("pendingRecords")!.sum) } : null,
          figure("stateSizeBytes") ? { name: "state in memory", value: bytes(figure("stateSizeBytes")!.sum) } : null,
          watermark === undefined
            ? null
            : { name: "watermark", value: eventLag(job.now - watermark), title: iso(watermark) },
          { name: "running for", value: duration(vertex["start-time"] > 0 ? job.now - vertex["start-time"] : -1) },
        ]}
      />
      <h3>How it is spread over the subtasks</h3>
      {subtasks === null ? (
        <Loading what="the subtasks" />
      ) : (
        <div class="heats">
          {state.subtaskRates && (
            <Heat
              title={source ? "Records out" : "Records in"}
              values={state.subtaskRates}
              format={rate}
              note="of each subtask: the records of its key groups"
            />
          )}
          {sizes?.subtasks.some((it) => stateSize(it) > 0) && (
            <Heat
              title={`State in checkpoint ${sizes.checkpoint}`}
              values={[...sizes.subtasks].sort((one, other) => one.index - other.index).map(stateSize)}
              format={bytes}
            />
          )}
          {pressure.length > 0 && (
            <Heat title="Busy" values={pressure.map((it) => it.busyRatio)} format={percent} most={1} />
          )}
        </div>
      )}
      {subtasks && (
        <Table
          label="Subtasks"
          rows={subtasks}
          keyOf={(row) => row.subtask}
          columns={[
            { title: "#", class: "number", of: (row) => `${row.subtask + 1}` },
            { title: "State", of: (row) => <StatePill state={row.status} /> },
            { title: "Records in", class: "number", of: (row) => count(row.metrics["read-records"]) },
            { title: "Records out", class: "number", of: (row) => count(row.metrics["write-records"]) },
            { title: "Busy", class: "number", of: (row) => percent(busyOf.get(row.subtask)?.busyRatio) },
            {
              title: "TaskManager",
              of: (row) => <span title={row["taskmanager-id"] ?? undefined}>{row.endpoint}</span>,
            },
          ]}
        />
      )}
    </Card>
  );
}
