// Failures of the job, newest first, over all its restarts.

import type { Failure } from "../api";
import type { State } from "../store";
import { Card, Empty, Facts, Loading, Moment } from "../ui/parts";
import "./exceptions.css";

/** So much of a failure is shown unasked. */
const FEW_LINES = 12;

function One({ failure, now }: { failure: Failure; now: number }) {
  const others = failure.concurrentExceptions ?? [];
  const [first = "", ...rest] = failure.stacktrace.split("\n");
  return (
    <article class="failure">
      <header>
        <h3>{failure.exceptionName}</h3>
        <Moment at={failure.timestamp} now={now} />
      </header>
      <p class="cause">{first}</p>
      <Facts
        facts={[
          failure.taskName ? { name: "subtask", value: failure.taskName } : { name: "of", value: "the whole job" },
          failure.endpoint ? { name: "on", value: failure.endpoint } : null,
          failure.taskManagerId ? { name: "TaskManager", value: <code>{failure.taskManagerId}</code> } : null,
        ]}
      />
      {rest.length > 0 && (
        <details open={rest.length <= FEW_LINES}>
          <summary>The rest of it</summary>
          <pre class="text">{rest.join("\n")}</pre>
        </details>
      )}
      {others.length > 0 && (
        <details>
          <summary>{`${others.length} more of the same time`}</summary>
          {others.map((other, index) => (
            <One key={index} failure={other} now={now} />
          ))}
        </details>
      )}
    </article>
  );
}

export function Exceptions({ state }: { state: State }) {
  const { exceptions, job } = state;
  if (!job)
    return (
      <Card>
        <Empty title="No job yet" />
      </Card>
    );
  if (!exceptions)
    return (
      <Card>
        <Loading what="the exceptions" />
      </Card>
    );
  const { entries, truncated } = exceptions.exceptionHistory;
  return (
    <Card
      title="Exceptions"
      note={entries.length ? `${entries.length}${truncated ? ", older ones were dropped" : ""}` : undefined}
    >
      {entries.length === 0 && <Empty title="Nothing has failed">What fails is kept here, also over restarts.</Empty>}
      {entries.map((failure) => (
        <One
          key={`${failure.timestamp} ${failure.taskName ?? ""} ${failure.exceptionName}`}
          failure={failure}
          now={job.now}
        />
      ))}
    </Card>
  );
}
