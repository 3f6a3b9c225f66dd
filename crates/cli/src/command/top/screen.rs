//! The whole terminal as a screen that is drawn again and again.
//!
//! *Rejected:* `ratatui` with `crossterm`: forty crates more, for a table that is printed once a second. What a terminal has to
//! be told are a few escape sequences, and `rustix`, which is here anyway, sets its mode.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, Read, Write};
use std::time::Duration;

/// The other screen of the terminal, without a cursor and without line breaks in long lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What a user has pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `q`, Escape or Ctrl-C.
    End,
    Other,
}

/// The screen. Dropping it gives the terminal back as it was.
pub(super) struct Screen {
    before: Termios,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut mode = before.clone();
        // Keys come at once and are not shown, and Ctrl-C is a key, so that the screen is left in any case.
        mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Now, &mode)?;
        let screen = Self { before };
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws as many lines as there is room for.
    pub(super) fn show(&self, text: &str) -> io::Result<()> {
        let rows = tcgetwinsize(io::stdout()).map_or(24, |size| usize::from(size.ws_row.max(1)));
        let lines: Vec<String> = text.lines().take(rows).map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }

    /// Waits for a key, at most for this time.
    pub(super) fn wait(&self, time: Duration) -> io::Result<Option<Key>> {
        let stdin = io::stdin();
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&time)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None), // a window that changes its size interrupts
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut keys = [0; 64];
        let pressed = stdin.lock().read(&mut keys)?;
        let is_end =
            |keys: &[u8]| matches!(keys, [] | [0x1b]) || keys.iter().any(|key| b"qQ\x03".contains(key));
        Ok(Some(if is_end(&keys[..pressed]) { Key::End } else { Key::Other }))
    }
}

impl Drop for Screen {
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
