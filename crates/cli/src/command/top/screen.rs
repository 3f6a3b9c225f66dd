//! The whole terminal as a screen that is drawn again and again.
//!
//! *Rejected:* `ratatui` with `crossterm`: forty crates more, for a table that is printed once a second. What a terminal has to
//! be told are a few escape sequences, and `rustix`, which is here anyway, sets its mode.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};

/// The other screen of the terminal, without a cursor and without line breaks in long lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What the screen waits for.
pub(super) enum Event<T> {
    /// `q`, Escape, Ctrl-C, a signal that ends processes, or no more of what is shown.
    End,
    /// The next of what is shown.
    Seen(T),
}

/// The screen. Dropping it gives the terminal back as it was.
pub(super) struct Screen<T> {
    before: Termios,
    seen: Receiver<T>,
    /// A byte for each that was seen.
    is_seen: UnixStream,
    signals: UnixStream,
}

impl<T: Send + 'static> Screen<T> {
    /// Takes the terminal. `look` runs in a thread of its own and hands over what is shown, until nobody looks.
    pub(super) fn enter(
        look: impl FnOnce(&mut dyn FnMut(T) -> ControlFlow<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let (signals, raised) = UnixStream::pair()?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            pipe::register(signal, raised.try_clone()?)?;
        }
        let (is_seen, mut wake) = UnixStream::pair()?;
        let (show, seen) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("top".to_owned()).spawn(move || {
            look(&mut |view| match show.send(view).is_ok() && wake.write_all(&[0]).is_ok() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
        })?;
        let before = tcgetattr(io::stdin())?;
        let mut mode = before.clone();
        // Keys come at once and are not shown.
        mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Now, &mode)?;
        let screen = Self { before, seen, is_seen, signals };
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws as many lines as there is room for.
    pub(super) fn show(&self, text: &str) -> io::Result<()> {
        let rows = tcgetwinsize(io::stdout()).map_or(24, |size| usize::from(size.ws_row.max(1)));
        let lines: Vec<String> = text.lines().take(rows).map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }

    /// Waits for what happens next.
    pub(super) fn next(&self) -> io::Result<Event<T>> {
        let stdin = io::stdin();
        loop {
            let mut ready = [
                PollFd::new(&stdin, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(&self.is_seen, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue, // a window that changes its size interrupts
                result => result?,
            };
            let [key, signal, seen] = ready.map(|fd| !fd.revents().is_empty());
            if signal || (key && is_end(&stdin)?) {
                return Ok(Event::End);
            }
            if seen {
                (&self.is_seen).read_exact(&mut [0])?;
                return Ok(self.seen.recv().map_or(Event::End, Event::Seen));
            }
        }
    }
}

/// Whether a pressed key ends it. Ctrl-C is a signal.
fn is_end(stdin: &io::Stdin) -> io::Result<bool> {
    let mut keys = [0; 64];
    let pressed = stdin.lock().read(&mut keys)?;
    Ok(matches!(&keys[..pressed], [] | [0x1b]) || keys[..pressed].iter().any(|key| b"qQ".contains(key)))
}

impl<T> Drop for Screen<T> {
    fn drop(&mut self) {
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
