//! A side output: words of more than five letters are set aside instead of being counted.
//!
//! `cargo run --bin side_output -- run` prints the counts and the rejected words. Flink's example SideOutput does the same.

use reflow::prelude::*;

const REJECTED: OutputTag<String> = OutputTag::new("rejected");
const LONGEST: usize = 5;

/// Emits short words, and sends the others to [`REJECTED`].
#[derive(Clone)]
struct Shorten;

impl UnkeyedProcessFunction for Shorten {
    type In = String;
    type Out = String;

    fn process(&mut self, context: &mut impl UnkeyedContext<String>, word: String) -> Result<(), UserError> {
        if word.len() > LONGEST {
            context.emit_to(&REJECTED, word);
        } else {
            context.emit(word);
        }
        Ok(())
    }
}

fn side_output(env: &mut StreamEnv) -> JobResult {
    const TEXT: [&str; 3] = ["to be or not to be", "that is the question", "whether tis nobler in the mind"];
    let (short, rejected) = env
        .source("lines", Collection::of(TEXT.map(str::to_owned)))
        .flat_map(|line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .process(Shorten)
        .side_output(&REJECTED);
    rejected.map(|word| format!("rejected {word}")).sink("rejected", Print::stdout());
    short
        .key_by(|word| word.clone())
        .window(GlobalWindows)
        .count()
        .map(|counted| format!("{} {}", counted.value, counted.key))
        .sink("counts", Print::stdout());
    Ok(())
}

reflow::main!(side_output);
