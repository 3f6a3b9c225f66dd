//! A job that counts words.
//!
//! `cargo run -- run` counts those of three lines and ends; `--input PATH` reads a file or a directory instead.

use reflow::{Pipeline, prelude::*};

const LINES: [&str; 3] = ["to be or not to be", "that is the question", "whether tis nobler in the mind"];

#[derive(clap::Args)]
struct Options {
    /// A file or a directory to read instead of three lines.
    #[arg(long)]
    input: Option<String>,
}

fn job(env: &mut StreamEnv, options: Options) -> JobResult {
    let lines = match options.input {
        Some(path) => env.source("lines", FileSource::lines(path)).boxed(),
        None => env.source("lines", Collection::of(LINES.map(str::to_owned))).boxed(),
    };
    count(lines).map(|(word, count)| format!("{count} {word}")).sink("counts", Print::stdout());
    Ok(())
}

/// The number of times that each word occurs, when the input has ended.
fn count(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = (String, u64)>> {
    lines
        .flat_map(|line: String| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .window(GlobalWindows)
        .count()
        .uid("counts")
        .map(|counted| (counted.key, counted.value))
}

reflow::main!(job);

#[cfg(test)]
mod tests {
    use super::*;
    use reflow::testing::OperatorHarness;

    #[test]
    fn words_are_counted_over_a_crash_and_a_rescale() {
        let mut lines = OperatorHarness::new(count);
        lines.push("to be or".to_owned(), 0);
        lines.checkpoint();
        lines.push("not to be".to_owned(), 0);
        lines.crash();
        lines.rescale(2);
        lines.finish();
        let mut counts = lines.output();
        counts.sort();
        assert_eq!(
            counts,
            [("be", 2), ("not", 1), ("or", 1), ("to", 2)].map(|(word, n)| (word.to_owned(), n))
        );
    }
}
