// What the cluster and the job were configured with.

import { useState } from "preact/hooks";
import type { State } from "../store";
import { Card, Empty, Loading, Table } from "../ui/parts";
import "./configuration.css";

/** An object of objects as `a.b.c` → value. */
function flat(value: unknown, prefix = ""): { key: string; value: string }[] {
  if (value === null || typeof value !== "object") return [{ key: prefix, value: String(value) }];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, prefix ? `${prefix}.${key}` : key));
}

export function Configuration({ state }: { state: State }) {
  const [sought, setSought] = useState("");
  const entries = state.configuration;
  const hit = (it: { key: string; value: string }) =>
    `${it.key} ${it.value}`.toLowerCase().includes(sought.toLowerCase());
  const search = (
    <input
      type="search"
      placeholder="Find a key or value"
      aria-label="Find a key or value"
      value={sought}
      onInput={(event) => setSought(event.currentTarget.value)}
    />
  );
  const table = (label: string, rows: { key: string; value: string }[]) => (
    <Table
      label={label}
      rows={rows}
      keyOf={(row) => row.key}
      columns={[
        { title: "Key", class: "key", of: (row) => <code>{row.key}</code> },
        { title: "Value", class: "wrap", of: (row) => <code>{row.value}</code> },
      ]}
    />
  );
  const ofJob = state.jobConfiguration ? flat(state.jobConfiguration).filter(hit) : [];
  const found = entries?.filter(hit) ?? [];
  return (
    <>
      <Card title="Cluster" note={entries ? `${entries.length} set` : undefined} actions={search}>
        {!entries ? (
          <Loading what="the configuration" />
        ) : found.length === 0 ? (
          <Empty title={sought ? "Nothing found" : "Nothing was set"}>
            {sought ? "" : "Every option has its default."}
          </Empty>
        ) : (
          table("Cluster's configuration", found)
        )}
      </Card>
      {state.jobConfiguration && (
        <Card title="Job">
          {ofJob.length === 0 ? <Empty title="Nothing found" /> : table("Job's configuration", ofJob)}
        </Card>
      )}
    </>
  );
}
