// How unevenly something lies on subtasks.

/** The greatest value over the mean; 1 if all are alike, `null` if there is nothing to compare. */
export function skewOf(values: number[]): number | null {
  const sum = values.reduce((total, value) => total + value, 0);
  if (values.length < 2 || !(sum > 0)) return null;
  return Math.max(...values) / (sum / values.length);
}
