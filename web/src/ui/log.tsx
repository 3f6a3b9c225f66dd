// The log files of a process: the end of one of them, which follows what is added. Nothing is asked for until it is opened.

import { useEffect, useRef, useState } from "preact/hooks";
import { end, get, type LogFiles } from "../api";
import { bytes } from "../format";
import { Empty, Loading } from "./parts";
import "./log.css";

/** How much of the end of a file is shown. */
const SHOWN_BYTES = 64 * 1024;
const INTERVAL_MS = 2000;

/** `process` is the path of its REST calls: `jobmanager`, `taskmanagers/…`. */
export function Logs({ process }: { process: string }) {
  const [opened, setOpened] = useState(false);
  return (
    <details class="logs" onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>Logs</summary>
      {opened && <Opened process={process} />}
    </details>
  );
}

function Opened({ process }: { process: string }) {
  const [files, setFiles] = useState<LogFiles["logs"] | null>(null);
  const [chosen, setChosen] = useState("log");
  const [text, setText] = useState<string | null>(null);
  const [trouble, setTrouble] = useState("");
  const shown = useRef<HTMLPreElement>(null);
  const path = `${process}/${chosen}`;

  useEffect(() => {
    let over = false;
    let timer = 0;
    const look = async () => {
      try {
        if (!document.hidden) {
          const { logs } = await get<LogFiles>(`${process}/logs`);
          const read = logs.length ? await end(path, SHOWN_BYTES) : "";
          if (over) return;
          const box = shown.current;
          const follows = !box || box.scrollHeight - box.scrollTop - box.clientHeight < 24;
          setFiles(logs);
          setText(read);
          setTrouble("");
          if (follows) requestAnimationFrame(() => shown.current?.scrollTo({ top: shown.current.scrollHeight }));
        }
      } catch (error) {
        if (!over) setTrouble(String(error instanceof Error ? error.message : error));
      }
      if (!over) timer = window.setTimeout(look, INTERVAL_MS);
    };
    setText(null);
    void look();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [process, path]);

  if (!files) return trouble ? <Empty title="No answer">{trouble}</Empty> : <Loading what="the logs" />;
  if (files.length === 0) return <Empty title="No file">It was started in the foreground.</Empty>;
  return (
    <>
      <div class="chosen">
        <select aria-label="Log file" value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
          <option value="log">log</option>
          <option value="stdout">standard output</option>
          {files.map(({ name, size }) => (
            <option key={name} value={`logs/${encodeURIComponent(name)}`}>
              {name} ({bytes(size)})
            </option>
          ))}
        </select>
        <a href={path} target="_blank" rel="noreferrer">
          all of it
        </a>
        {trouble && <span class="bad">{trouble}</span>}
      </div>
      <pre ref={shown} role="log" aria-label={`The end of ${chosen}`}>
        {text === null ? "…" : text || "(empty)"}
      </pre>
    </>
  );
}
