//! Tables and durations in readable form.

use reflow_schema::{JobOverview, TaskManager};
use std::time::Duration;

/// A table of jobs, one per line.
pub(crate) fn job_table(jobs: &[JobOverview]) -> String {
    let rows = jobs.iter().map(|job| {
        let count = |state: &str| job.tasks.get(state).copied().unwrap_or(0);
        let tasks = format!("{}/{}", count("running"), count("total"));
        [job.jid.clone(), job.name.clone(), job.state.to_string(), tasks, duration_ms(job.duration)]
    });
    table(["JOB", "NAME", "STATE", "TASKS", "FOR"], rows)
}

/// A table of TaskManagers, one per line.
pub(crate) fn task_manager_table(task_managers: &[TaskManager]) -> String {
    let rows = task_managers.iter().map(|tm| {
        [tm.id.clone(), tm.host().to_owned(), tm.slots_number.to_string(), tm.assigned_tasks.to_string()]
    });
    table(["TASKMANAGER", "HOST", "SLOTS", "TASKS"], rows)
}

/// Columns, aligned to the left.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    let rows = rows.map(|row| row.map(|cell| printable(&cell)));
    table.load_style(comfy_table::presets::NOTHING).set_header(header).add_rows(rows);
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    table.trim_fmt() + "\n"
}

/// A text on one line. Names and messages come from others, and a control character in them could command the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `340 ms`, or seconds if there are at least ten.
pub(crate) fn millis(ms: i64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { duration_ms(ms) }
}

/// A number of bytes in its largest unit: `12 B`, `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let scaled =
        |(power, unit): (u32, &&str)| (bytes as f64 / 1024f64.powi(power as i32), (*unit).to_owned());
    let shown = (1..).zip(&units).map(scaled).take_while(|(count, _)| *count >= 1.0).last();
    shown.map_or_else(|| format!("{bytes} B"), |(count, unit)| format!("{count:.1} {unit}"))
}

/// [`duration`] in milliseconds. Negative differences, which two clocks can have, count as 0.
pub(crate) fn duration_ms(ms: i64) -> String {
    duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// A duration in its two largest units: `3 d 4 h`, `41 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let shown: Vec<_> = parts.into_iter().skip_while(|&(count, _)| count == 0).take(2).collect();
    match shown[..] {
        [] => "0 s".to_owned(),
        [(count, unit)] | [(count, unit), (0, _)] => format!("{count} {unit}"),
        _ => shown.iter().map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let check = |seconds, expected| assert_eq!(duration(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(41, "41 s");
        check(60, "1 min");
        check(3 * 3600 + 5 * 60 + 7, "3 h 5 min");
        check(86_400 * 12 + 59, "12 d");
    }

    #[test]
    fn bytes_have_one_unit() {
        let check = |count, expected| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(5 << 30, "5.0 GiB");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["bbb", "n", "y"], ["c", "名", ""], ["d", "é", "z"]].map(|row| row.map(str::to_owned));
        let expected = "a    long name  x\nbbb  n          y\nc    名\nd    é          z\n";
        assert_eq!(table(["a", "long name", "x"], rows.into_iter()), expected);
    }
}
