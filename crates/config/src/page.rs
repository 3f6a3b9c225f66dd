//! The reference page of options, `docs/configuration.md`, printed from the table.

use std::fmt::Write;

use crate::option::{Default, Spec};
use crate::options::SECTIONS;

const HEAD: &str = "\
# Configuration

<!-- Printed from the options in crates/config/src/options by `cargo xtask docs`; edit those. -->

Values come from three sources; a later one overrides an earlier one:

1. `conf/config.yaml`, with nested or dotted keys:

   ```yaml
   rest:
     port: 8081
   execution.checkpointing.interval: 1 s
   ```

2. the environment variable `REFLOW_PROPERTIES`, with lines of `key: value`;
3. `-Dkey=value` on the command line of the scripts and of `reflow`.

Keys are Flink's where Flink has them; Flink's older keys are accepted too. An unknown key, an invalid value,
an option that is set twice, and options that contradict each other are errors, which name the key and the
place. Keys of Flink that only tune the JVM or Flink's internals are ignored with a warning; those without
which a job would behave differently are errors.

- **duration**: `500 ms`, `1 s`, `10 min`, `PT1M30S`, or a number of milliseconds. Units: d, h, min, s, ms,
  us, ns.
- **memory size**: `1gb`, `1024m`, `64 kb`, or a number of bytes; powers of 1024.
- **list**: separated by `;` or `,`, or a YAML sequence.
- Names such as `fixed-delay` may be written in upper or lower case, with `-` or `_`.
- An option without a default can be unset by `none`.

In reactive mode (`scheduler-mode: reactive`) some options have another default, which is listed.
";

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        let _ = write!(page, "\n## {}\n", section.title);
        for spec in section.options {
            describe(&mut page, spec);
        }
    }
    page
}

fn describe(page: &mut String, spec: &Spec) {
    let _ = write!(page, "\n### `{}`\n\n", spec.key);
    let mut facts = vec![spec.kind.name(), format!("default {}", default_text(spec.default))];
    if let Some(default) = spec.reactive_default {
        facts.push(format!("in reactive mode {}", default_text(default)));
    }
    let _ = writeln!(page, "{}\n", facts.join(" · "));
    for line in spec.doc.lines() {
        let _ = writeln!(page, "{}", line.trim());
    }
    if !spec.aliases.is_empty() {
        let aliases: Vec<_> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(page, "\nAlso accepted as {}.\n", aliases.join(", "));
    }
}

fn default_text(default: Default) -> String {
    match default {
        Default::Absent => "none".to_owned(),
        Default::Text(text) => format!("`{text}`"),
        Default::SameAs(key) => format!("that of `{key}`"),
        Default::InHome(name) => format!("`{name}` in the distribution's directory"),
        Default::TemporaryDirectory => "the system's temporary directory".to_owned(),
    }
}
