// Numbers, durations and moments as people read them. Pure functions; what is unknown is an en dash.

export const UNKNOWN = "–";

/** A space that does not break a line. */
const NBSP = "\u00a0";

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  // 999.95 would be shown as 1000 of the smaller unit.
  while (Math.abs(rest) >= base * 0.9995 && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  const size = Math.abs(rest);
  const digits = unit === 0 ? (size < 10 && rest % 1 !== 0 ? 1 : 0) : size < 10 ? 2 : size < 100 ? 1 : 0;
  const name = units[unit] ?? "";
  return `${rest.toFixed(digits)}${name && NBSP}${name}`;
}

const known = (value: number | null | undefined): value is number => value != null && Number.isFinite(value);

/** 12 345 678 as `12.3 M`. */
export const count = (value: number | null | undefined): string =>
  known(value) ? scaled(value, 1000, ["", "k", "M", "G", "T"]) : UNKNOWN;

/** 16 384: every digit, in groups of three. */
export const whole = (value: number | null | undefined): string =>
  known(value) ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : UNKNOWN;

/** A count a second. */
export const rate = (value: number | null | undefined): string => (known(value) ? `${count(value)}/s` : UNKNOWN);

/** 1536 as `1.50 KiB`; what is negative is unknown in Flink's API. */
export const bytes = (value: number | null | undefined): string =>
  known(value) && value >= 0 ? scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]) : UNKNOWN;

/** 0.5 as `50 %`. */
export const percent = (share: number | null | undefined): string =>
  known(share) ? `${Math.round(share * 100)}${NBSP}%` : UNKNOWN;

/** 83 000 as `1 min 23 s`: the two largest units. What is negative is unknown in Flink's API. */
export function duration(ms: number | null | undefined): string {
  if (!known(ms) || ms < 0) return UNKNOWN;
  if (ms < 1) return `${ms === 0 ? 0 : ms.toFixed(2)}${NBSP}ms`;
  if (ms < 1000) return `${Math.round(ms)}${NBSP}ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)}${NBSP}s`;
  if (seconds < 60) return `${Math.max(10, Math.floor(seconds))}${NBSP}s`;
  const pair = (value: number, small: string, large: string, step: number) =>
    `${Math.floor(value / step)}${NBSP}${large} ${Math.floor(value % step)}${NBSP}${small}`;
  if (seconds < 3600) return pair(seconds, "s", "min", 60);
  if (seconds < 86_400) return pair(seconds / 60, "min", "h", 60);
  return pair(seconds / 3600, "h", "d", 24);
}

/** Microseconds, as a duration. */
export const micros = (us: number | null | undefined): string =>
  known(us) && us > 0 && us < 1000 ? `${Math.round(us)}${NBSP}µs` : duration(known(us) ? us / 1000 : us);

/** A moment as local time; with the date where it is another day than `now`. */
export function moment(ms: number | null | undefined, now: number): string {
  if (!known(ms) || ms < 0 || ms > LAST_DATE_MS) return UNKNOWN;
  const at = new Date(ms);
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  const sameDay = at.toDateString() === new Date(now).toDateString();
  return sameDay
    ? at.toLocaleTimeString([], clock)
    : at.toLocaleString([], { ...clock, day: "numeric", month: "short" });
}

/** `JOB_FAILOVER_RESTARTING` and `WaitingForResources` as words. */
export const words = (name: string): string =>
  name
    .replaceAll("_", " ")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();

/** The first letter in upper case. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** `1 slot`, `2 slots`. */
export const plural = (n: number, one: string, more = `${one}s`): string => `${n}${NBSP}${n === 1 ? one : more}`;

/** The first characters of a long id; all of it belongs in a title. */
export const shortId = (id: string): string => (id.length > 12 ? id.slice(0, 8) : id);

/** `Source: a -> b -> c` as the names of its operators. */
export const operators = (name: string): string[] => name.split(" -> ");

/** Event times that lie so far from the clock are not of this clock: made up, or counted from elsewhere. */
export const CLOCK_TIME_MS = 366 * 86_400_000;

/** The last moment that a date of JavaScript can be; watermarks before and after all events lie beyond it. */
const LAST_DATE_MS = 8.64e15;

/** A moment in ISO 8601, if it is one. */
export const iso = (ms: number): string => (Math.abs(ms) <= LAST_DATE_MS ? new Date(ms).toISOString() : UNKNOWN);

/** How far a watermark is behind the clock, where that says something. */
export function eventLag(ms: number | null | undefined): string {
  if (!known(ms)) return UNKNOWN;
  if (Math.abs(ms) > LAST_DATE_MS) return ms > 0 ? "no watermark yet" : "at its end";
  if (Math.abs(ms) > CLOCK_TIME_MS) return "own event time";
  return ms < 0 ? `${duration(-ms)} ahead` : `${duration(ms)} behind`;
}
