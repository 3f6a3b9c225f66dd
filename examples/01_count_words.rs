//! The smallest complete job: read, split, key, count, print.
//!
//! `cargo run --bin count_words -- run` counts the words of three lines. The job is bounded, so it ends by itself.
//! `-- run --input PATH` reads a file or a directory instead.

use reflow::prelude::*;

#[derive(clap::Args)]
struct Options {
    /// A file or a directory to read instead of three lines.
    #[arg(long)]
    input: Option<String>,
}

fn count_words(env: &mut StreamEnv, options: Options) -> JobResult {
    const TEXT: [&str; 3] = ["to be or not to be", "that is the question", "whether tis nobler in the mind"];
    match options.input {
        Some(path) => count(env.source("lines", FileSource::lines(path))),
        None => count(env.source("lines", Collection::of(TEXT.map(str::to_owned)))),
    }
    Ok(())
}

/// A function over streams names the type of the records, not the operators before it.
fn count(lines: Stream<impl reflow::Pipeline<Out = String>>) {
    lines
        .flat_map(|line: String| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .window(GlobalWindows)
        .count()
        .map(|counted| format!("{} {}", counted.value, counted.key))
        .sink("counts", Print::stdout());
}

reflow::main!(count_words);
