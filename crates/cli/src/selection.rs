//! The selection of the job, vertex or TaskManager that an argument names.

use crate::client::Client;
use crate::error::CliError;
use crate::table::table;
use reflow_schema::{JobDetails, JobOverview, TaskManager, VertexSummary};

/// Which jobs are considered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// Only those that have not ended.
    Live,
    /// All, but those that have not ended are preferred.
    All,
}

/// The job that `wanted` names.
pub(crate) fn find(client: &Client, wanted: Option<&str>, among: Among) -> Result<JobOverview, CliError> {
    choose(client.jobs()?.jobs, wanted, among, client.address())
}

/// Finds a job by id, by a prefix of its id, or by name; without an argument, the only one. An id takes precedence
/// over a name. Of several jobs with one name, the one that has not ended is meant.
fn choose(
    jobs: Vec<JobOverview>,
    wanted: Option<&str>,
    among: Among,
    address: &str,
) -> Result<JobOverview, CliError> {
    let (live, ended): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| !job.state.is_terminal());
    let groups = match among {
        Among::Live => vec![live],
        Among::All => vec![live, ended],
    };
    let Some(wanted) = wanted else {
        let first = groups.into_iter().find(|group| !group.is_empty()).unwrap_or_default();
        return match <[_; 1]>::try_from(first) {
            Ok([job]) => Ok(job),
            Err(jobs) if jobs.is_empty() => Err(CliError::NoJob { address: address.to_owned() }),
            Err(jobs) => Err(CliError::WhichJob { jobs }),
        };
    };
    let by_prefix = |job: &JobOverview| job.jid.starts_with(&wanted.to_ascii_lowercase());
    let by_name = |job: &JobOverview| job.name == wanted;
    let rules: [&dyn Fn(&JobOverview) -> bool; 2] = [&by_prefix, &by_name];
    for rule in rules {
        for group in &groups {
            let found: Vec<_> = group.iter().filter(|job| rule(job)).cloned().collect();
            match <[_; 1]>::try_from(found) {
                Ok([job]) => return Ok(job),
                Err(none) if none.is_empty() => {}
                Err(jobs) => return Err(CliError::Ambiguous { wanted: wanted.to_owned(), jobs }),
            }
        }
    }
    let jobs = groups.into_iter().flatten().collect();
    Err(CliError::UnknownJob { wanted: wanted.to_owned(), address: address.to_owned(), jobs })
}

/// Finds a vertex by name, by id or by a prefix of its id.
pub(crate) fn find_vertex<'a>(
    job: &JobOverview,
    details: &'a JobDetails,
    wanted: &str,
) -> Result<&'a VertexSummary, CliError> {
    let by_name = |vertex: &&VertexSummary| vertex.name == wanted;
    let by_prefix = |vertex: &&VertexSummary| vertex.id.starts_with(&wanted.to_ascii_lowercase());
    let rules: [&dyn Fn(&&VertexSummary) -> bool; 2] = [&by_name, &by_prefix];
    let matches = rules.iter().map(|rule| details.vertices.iter().filter(*rule).collect::<Vec<_>>());
    let found = matches.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    let (job, wanted) = (job.name.clone(), wanted.to_owned());
    match found[..] {
        [vertex] => Ok(vertex),
        [] => Err(CliError::UnknownVertex { job, wanted, vertices: vertices(details) }),
        _ => Err(CliError::AmbiguousVertex { job, wanted, vertices: vertices(details) }),
    }
}

fn vertices(details: &JobDetails) -> String {
    let rows = details.vertices.iter().map(|vertex| {
        let [parallelism, max] = [vertex.parallelism, vertex.max_parallelism].map(|n| n.to_string());
        [vertex.id.clone(), vertex.name.clone(), parallelism, max]
    });
    table(["VERTEX", "NAME", "PARALLELISM", "MAX"], rows)
}

/// The TaskManager that `wanted` names.
pub(crate) fn find_task_manager(client: &Client, wanted: &str) -> Result<TaskManager, CliError> {
    choose_task_manager(client.task_managers()?, wanted, client.address())
}

/// Finds a TaskManager by id, by a prefix of its id, or by host.
fn choose_task_manager(
    there: Vec<TaskManager>,
    wanted: &str,
    address: &str,
) -> Result<TaskManager, CliError> {
    let by_prefix = |tm: &TaskManager| tm.id.starts_with(&wanted.to_ascii_lowercase());
    let by_host = |tm: &TaskManager| tm.host() == wanted;
    let rules: [&dyn Fn(&TaskManager) -> bool; 2] = [&by_prefix, &by_host];
    let wanted = wanted.to_owned();
    for rule in rules {
        let found: Vec<_> = there.iter().filter(|tm| rule(tm)).cloned().collect();
        match <[_; 1]>::try_from(found) {
            Ok([task_manager]) => return Ok(task_manager),
            Err(none) if none.is_empty() => {}
            Err(there) => return Err(CliError::AmbiguousTaskManager { wanted, there }),
        }
    }
    Err(CliError::UnknownTaskManager { wanted, address: address.to_owned(), there })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_view::JobStatus::{self, *};

    fn job(jid: &str, name: &str, state: JobStatus) -> JobOverview {
        JobOverview {
            jid: jid.into(),
            name: name.into(),
            job_type: "STREAMING".into(),
            scheduler_type: "Adaptive".into(),
            start_time: 0,
            end_time: -1,
            duration: 0,
            state,
            last_modification: 0,
            tasks: [("running".into(), 1), ("total".into(), 1)].into(),
            pending_operators: 0,
        }
    }

    fn jobs() -> Vec<JobOverview> {
        vec![
            job("aa11", "orders", Running),
            job("aa22", "clicks", Restarting),
            job("ab33", "orders", Finished),
            job("cc44", "aa11x", Canceled),
        ]
    }

    #[track_caller]
    fn check(wanted: &str, among: Among, expected: Result<&str, &str>) {
        let found =
            choose(jobs(), Some(wanted), among, "here:1").map(|job| job.jid).map_err(|e| e.to_string());
        match expected {
            Ok(jid) => assert_eq!(found.as_deref(), Ok(jid)),
            Err(begin) => {
                let text = found.unwrap_err();
                assert!(text.starts_with(begin), "{text}");
            }
        }
    }

    #[test]
    fn a_job_is_named_by_id_prefix_or_name() {
        check("aa11", Among::Live, Ok("aa11"));
        check("AA2", Among::Live, Ok("aa22"));
        check("clicks", Among::Live, Ok("aa22"));
        check("orders", Among::All, Ok("aa11"));
        check("ab", Among::All, Ok("ab33"));
        check("aa11x", Among::All, Ok("cc44"));
    }

    #[test]
    fn what_is_not_one_job_is_an_error_that_lists_them() {
        check(
            "aa",
            Among::Live,
            Err("several jobs match aa; use a longer prefix of the id; the jobs are:\n"),
        );
        check("ab33", Among::Live, Err("no job ab33 at here:1; the jobs are:\n"));
        check("nope", Among::All, Err("no job nope at here:1; the jobs are:\n"));
    }

    #[test]
    fn the_only_job_needs_no_name() {
        let alone = |states: &[JobStatus], among| {
            let jobs = states.iter().zip(["a", "b", "c"]).map(|(state, id)| job(id, "x", *state)).collect();
            choose(jobs, None, among, "here:1").map(|job| job.jid).map_err(|e| e.to_string())
        };
        assert_eq!(alone(&[Running], Among::Live).as_deref(), Ok("a"));
        assert_eq!(alone(&[Failed, Running], Among::All).as_deref(), Ok("b"));
        assert_eq!(alone(&[Failed], Among::All).as_deref(), Ok("a"));
        assert_eq!(alone(&[Failed], Among::Live).unwrap_err(), "no job runs at here:1");
        assert!(alone(&[Running, Running], Among::All).unwrap_err().starts_with("no job is named"));
    }

    #[track_caller]
    fn check_task_manager(wanted: &str, expected: Result<&str, &str>) {
        let there = [("1488a", "h1:6122"), ("1489b", "h2:6122"), ("27aac", "h2:6123")]
            .map(|(id, path)| TaskManager { id: id.into(), path: path.into(), ..TaskManager::default() });
        let found =
            choose_task_manager(there.to_vec(), wanted, "here:1").map(|tm| tm.id).map_err(|e| e.to_string());
        match expected {
            Ok(id) => assert_eq!(found.as_deref(), Ok(id)),
            Err(begin) => assert!(found.as_ref().is_err_and(|text| text.starts_with(begin)), "{found:?}"),
        }
    }

    #[test]
    fn a_task_manager_is_named_by_id_prefix_or_host() {
        check_task_manager("1488a", Ok("1488a"));
        check_task_manager("27", Ok("27aac"));
        check_task_manager("2", Ok("27aac"));
        check_task_manager("h1", Ok("1488a"));
        check_task_manager(
            "148",
            Err(
                "several TaskManagers match 148; use a longer prefix of the id; the TaskManagers are:\nTASKMANAGER  HOST",
            ),
        );
        check_task_manager("h2", Err("several TaskManagers match h2"));
        check_task_manager("h3", Err("no TaskManager h3 at here:1; the TaskManagers are:\n"));
    }
}
