//! Records the location and backtrace of panics in user code.
//!
//! The standard library passes these only to the process's panic hook. So a hook stores them for the thread, and
//! the edge of the task takes them. The hook also calls the previous one.

use reflow_protocol::failure::{Failure, Fault};
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

/// The longest backtrace in lines. A frame has two lines.
const MAX_LINES: usize = 120;

static HOOK: Once = Once::new();

thread_local! {
    static NOTED: RefCell<Noted> = const { RefCell::new(Noted { watches: 0, panic: None }) };
}

/// The data that the hook stores for a thread.
struct Noted {
    /// The number of active [`Watch`]es. Without one, a panic is not in a task and is not recorded.
    watches: u32,
    panic: Option<NotedPanic>,
}

struct NotedPanic {
    text: String,
    location: String,
    /// Its names are resolved only when it is needed, because that takes long.
    backtrace: Backtrace,
}

/// Records the panics of this thread until it is dropped.
pub(super) struct Watch(());

/// Begins to record the panics of this thread.
pub(super) fn watch() -> Watch {
    HOOK.call_once(|| {
        let former = take_hook();
        set_hook(Box::new(move |info| {
            note(info);
            former(info);
        }));
    });
    NOTED.with_borrow_mut(|noted| noted.watches += 1);
    Watch(())
}

impl Drop for Watch {
    fn drop(&mut self) {
        NOTED.with_borrow_mut(|noted| {
            noted.watches -= 1;
            noted.panic = None;
        });
    }
}

fn note(info: &PanicHookInfo<'_>) {
    // A thread that is ending has no thread-local data.
    let _ = NOTED.try_with(|noted| {
        let Ok(mut noted) = noted.try_borrow_mut() else { return };
        if noted.watches > 0 {
            noted.panic = Some(NotedPanic {
                text: info.payload_as_str().map(str::to_owned).unwrap_or_default(),
                location: info.location().map(ToString::to_string).unwrap_or_default(),
                backtrace: Backtrace::force_capture(),
            });
        }
    });
}

impl Watch {
    /// The failure of the task that panicked with this payload.
    pub(super) fn failure(&self, task: &str, payload: &(dyn Any + Send)) -> Failure {
        let text = panic_text(payload);
        let failure = |message| Failure {
            fault: Fault::User,
            operator: task.to_owned(),
            message: super::bounded(message),
        };
        // User code may have caught the recorded panic and resumed another one, which calls no hook.
        let noted = NOTED.with_borrow_mut(|noted| noted.panic.take());
        match noted.filter(|noted| noted.text.is_empty() || noted.text == text) {
            Some(NotedPanic { location, backtrace, .. }) => {
                let shown = trimmed(&backtrace.to_string());
                failure(format!("panicked at {location}: {text}")).with_backtrace(&shown)
            }
            None => failure(format!("panicked: {text}")),
        }
    }
}

/// The frames between the panic and the edge of the task.
fn trimmed(backtrace: &str) -> String {
    let frames = frames(backtrace);
    let edge = frames.iter().position(Frame::is_edge).unwrap_or(frames.len());
    let frames = &frames[..edge];
    let begin = frames.iter().take_while(|frame| frame.is_machinery()).count();
    let catching = frames[begin..].iter().rev().take_while(|frame| frame.is_machinery()).count();
    let lines = frames[begin..edge - catching].iter().flat_map(|frame| [frame.name, frame.place]);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    super::bounded(lines[..lines.len().min(MAX_LINES)].join("\n"))
}

/// The lines of a frame: its number and name, and its location, which is known only with debugging information.
/// With it, the name may lack its path.
struct Frame<'a> {
    name: &'a str,
    place: &'a str,
}

impl Frame<'_> {
    /// Whether it is [`catch`](super::catch).
    fn is_edge(&self) -> bool {
        self.name.contains("failure::catch")
            || self.name.contains("catch<") && self.place.contains("src/failure.rs:")
    }

    /// Whether it belongs to the standard library or the hook.
    fn is_machinery(&self) -> bool {
        let (_, name) = self.name.split_once(": ").unwrap_or_default();
        let modules =
            ["std::", "core::", "alloc::", "__rust", "rust_begin_unwind", "reflow_runtime::failure"];
        self.place.contains("at /rustc/")
            || self.place.contains("src/failure/panic.rs:")
            || modules.iter().any(|module| name.trim_start_matches('<').starts_with(module))
    }
}

fn frames(backtrace: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    for line in backtrace.lines() {
        match frames.last_mut() {
            Some(frame) if line.trim_start().starts_with("at ") => frame.place = line,
            _ => frames.push(Frame { name: line, place: "" }),
        }
    }
    frames
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not a text")
}
