//! A window join: the grades and the salaries of the same person in the same two seconds, each with each.
//!
//! `cargo run --bin window_join -- run` prints the pairs. Flink's example WindowJoin does the same.

use reflow::prelude::*;

const NAMES: [&str; 6] = ["tom", "jerry", "alice", "bob", "john", "grace"];
const WINDOW: Duration = Duration::from_secs(2);
/// The time from one record of a stream to the next.
const STEP_MS: u64 = 200;

#[derive(Clone, Data)]
struct Grade {
    name: String,
    grade: u64,
    time: Timestamp,
}

#[derive(Clone, Data)]
struct Salary {
    name: String,
    salary: u64,
    time: Timestamp,
}

#[derive(clap::Args)]
struct Options {
    /// How many grades there are, and how many salaries.
    #[arg(long, default_value_t = 100)]
    records: u64,
}

fn window_join(env: &mut StreamEnv, options: Options) -> JobResult {
    let name = |index: u64| NAMES[index as usize % NAMES.len()].to_owned();
    let time = |index: u64| (index * STEP_MS) as Timestamp;
    let grade = move |n: u64| Grade { name: name(n * n), grade: n % 5 + 1, time: time(n) };
    let salary = move |n: u64| Salary { name: name(n * 5), salary: n * 997 % 10_000 + 1, time: time(n) };

    let grades = env
        .source("grades", Generator::new(grade).count(options.records))
        .assign_event_time(|grade| grade.time, Watermarks::monotonic())
        .key_by(|grade| grade.name.clone());
    let salaries = env
        .source("salaries", Generator::new(salary).count(options.records))
        .assign_event_time(|salary| salary.time, Watermarks::monotonic())
        .key_by(|salary| salary.name.clone());
    grades
        .connect(salaries)
        .window(TumblingWindows::of(WINDOW))
        .join(|name, _, grade, salary| format!("{name}: grade {}, salary {}", grade.grade, salary.salary))
        .uid("grades-and-salaries")
        .sink("print", Print::stdout());
    Ok(())
}

reflow::main!(window_join);
