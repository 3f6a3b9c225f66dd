//! The command `reflow top`, which watches a job.

mod screen;
mod view;

use crate::args::Top;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{is_coloured, print, print_json};
use crate::selection::{self, Among};
use crate::wait;
use reflow_schema::JobOverview;
use screen::{Event, Screen};
use std::io::{self, IsTerminal};
use view::{Colours, View};

/// How many consecutive requests may fail. A JobManager that restarts answers again.
const MAX_FAILURES: u32 = 30;

pub(crate) fn run(top: &Top) -> Result<(), CliError> {
    let client = Client::new(&top.connection)?;
    let job = selection::find(&client, top.job.as_deref(), Among::All)?;
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal() && !top.connection.json;
    if terminal { watch(top, client, job) } else { report(top, &client, &job) }
}

/// Prints views one after the other.
fn report(top: &Top, client: &Client, job: &JobOverview) -> Result<(), CliError> {
    let count = top.count.unwrap_or(1);
    for number in 1..=count {
        let view = View::read(client, job)?;
        if top.connection.json {
            print_json(&view)?;
        } else {
            print(&view.text(Colours::None))?;
        }
        if view.has_ended() {
            break;
        }
        if number < count {
            if !top.connection.json {
                print("\n")?;
            }
            wait::pause(top.interval);
        }
    }
    Ok(())
}

/// Renews the view on the terminal until the user or a signal ends it or the job has ended.
fn watch(top: &Top, client: Client, job: JobOverview) -> Result<(), CliError> {
    let colours = if is_coloured() { Colours::Ansi } else { Colours::None };
    let interval = top.interval;
    // A request may take half a minute, and keys and signals do not wait for it.
    let screen = Screen::enter(move |show| {
        while show(View::read(&client, &job)).is_continue() {
            wait::pause(interval);
        }
    });
    let screen = screen.map_err(CliError::Output)?;
    let mut last = String::new();
    let (mut looks, mut failures) = (0, 0);
    let end = loop {
        let seen = match screen.next().map_err(CliError::Output)? {
            Event::End => break Ok(()),
            Event::Seen(seen) => seen,
        };
        match seen {
            Ok(view) => {
                failures = 0;
                last = view.text(colours);
                screen.show(&format!("{last}\nq ends\n")).map_err(CliError::Output)?;
                if view.has_ended() {
                    break Ok(());
                }
            }
            Err(error @ CliError::Unreachable { .. }) if failures < MAX_FAILURES => {
                failures += 1;
                screen.show(&format!("{last}\n{error}\n")).map_err(CliError::Output)?;
            }
            Err(error) => break Err(error),
        }
        looks += 1;
        if top.count.is_some_and(|count| looks >= count) {
            break Ok(());
        }
    };
    drop(screen);
    print(&last)?; // so that the last figures stay
    end
}
