//! Sinks with a parallelism, a max parallelism or a slot sharing group of their own.

use reflow_graph::{JobGraph, Shipping};
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::VertexId;

fn graph(build: impl FnOnce(&mut StreamEnv)) -> JobGraph {
    let job = StreamEnv::build("job", |env| {
        build(env);
        Ok(())
    });
    (*job.unwrap_or_else(|error| panic!("{error}")).graph).clone()
}

fn source() -> Feed<u64> {
    Feed::new(1)
}

fn sink() -> Collect<u64> {
    Collect::new("out")
}

/// Parallelism and name of each vertex, and how edges ship.
fn shape(graph: &JobGraph) -> (Vec<(Option<u32>, &str)>, Vec<Shipping>) {
    let vertices = graph.vertices.iter().map(|vertex| (vertex.parallelism, vertex.name.as_str()));
    (vertices.collect(), graph.edges.iter().map(|edge| edge.shipping).collect())
}

#[test]
fn a_sink_with_a_parallelism_of_its_own_is_a_vertex() {
    let graph = graph(|env| {
        let _ = env.source("in", source()).map(|n| n).parallelism(2).sink("out", sink()).parallelism(3);
    });
    let vertices = vec![(Some(2), "Source: in -> Map"), (Some(3), "Sink: out")];
    assert_eq!(shape(&graph), (vertices, vec![Shipping::Rebalance]));
    assert!(!graph.vertices[0].operators.iter().any(|operator| operator.commits));
    assert!(graph.vertices[1].operators[0].commits);
}

#[test]
fn a_sink_with_the_parallelism_of_its_chain_stays_in_it() {
    let graph = graph(|env| {
        let _ = env.source("in", source()).parallelism(2).sink("out", sink()).parallelism(2).uid("out");
    });
    assert_eq!(shape(&graph), (vec![(Some(2), "Source: in -> Sink: out")], vec![]));
}

#[test]
fn a_single_sink_and_one_of_another_group_keep_the_order() {
    let single = graph(|env| {
        let _ = env.source("in", source()).sink("out", sink()).parallelism(3).parallelism(1);
    });
    assert_eq!(shape(&single).1, [Shipping::Forward]);
    let apart = graph(|env| {
        let numbers = env.source("in", source()).max_parallelism(8);
        let _ = numbers.sink("out", sink()).slot_sharing_group("writers").name("files");
    });
    assert_eq!(shape(&apart), (vec![(None, "Source: in"), (None, "files")], vec![Shipping::Forward]));
    let [before, after] = &apart.vertices[..] else { panic!("two vertices") };
    assert_eq!(
        (before.slot_sharing_group.as_str(), after.slot_sharing_group.as_str()),
        ("default", "writers")
    );
    assert_eq!(after.max_parallelism, before.max_parallelism);
}

#[test]
fn settings_of_a_sink_may_come_in_any_order() {
    let build = |in_order: fn(&mut StreamEnv)| graph(in_order);
    let first = build(|env| {
        let _ = env.source("in", source()).sink("out", sink()).uid("files").parallelism(2).max_parallelism(4);
    });
    let last = build(|env| {
        let _ = env.source("in", source()).sink("out", sink()).max_parallelism(4).parallelism(2).uid("files");
    });
    assert_eq!(first, last);
    assert_eq!(first.vertices[1].id, VertexId::of_uid("files"));
}

#[test]
fn a_sink_may_follow_a_side_output_and_a_shared_stream() {
    let graph = graph(|env| {
        let shared = env.source("in", source()).share();
        let _ = shared.stream().sink("first", Collect::<u64>::new("first")).parallelism(2);
        let _ = shared.filter(|n| *n > 3).sink("second", Collect::<u64>::new("second")).parallelism(3);
    });
    assert!(graph.edges.iter().all(|edge| edge.from < edge.to), "{graph:?}");
    assert_eq!(graph.vertices.len(), 5);
}

#[test]
fn every_record_is_committed_once_by_a_sink_of_any_parallelism() {
    for (parallelism, group) in [(Some(3), false), (Some(1), false), (None, true), (Some(2), true)] {
        let (feed, out) = (Feed::new(4), sink());
        let (source, written) = (feed.clone(), out.clone());
        let mut job = Harness::new(move |env| {
            let keyed = env.source("in", source.clone()).key_by(|n: &u64| *n % 7).reduce(|_, n| n);
            let mut sink = keyed.sink("out", written.clone());
            if let Some(parallelism) = parallelism {
                sink = sink.parallelism(parallelism);
            }
            if group {
                sink = sink.slot_sharing_group("writers");
            }
            let _ = sink.uid("out");
        })
        .on_executors(2);
        job.start(2);
        for (round, width) in [(0, 3), (1, 1), (2, 2)] {
            for split in 0..4 {
                feed.push(split, (0..250).map(|n| (round * 250 + n) * 4 + split as u64));
            }
            if round == 1 {
                job.settle();
                job.kill();
                job.start(width);
            } else {
                job.rescale(width);
            }
        }
        feed.end();
        assert!(job.finish(), "{parallelism:?}: {}", job.state());
        assert_eq!(out.committed(&job), (0..3_000).collect::<Vec<_>>(), "{parallelism:?} {group}");
    }
}

/// The same uid in a vertex of its own: a savepoint of the chained sink has its transactions.
#[test]
fn a_sink_that_leaves_its_chain_commits_what_its_savepoint_prepared() {
    let (feed, out) = (Feed::new(1), sink());
    let (source, written) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let _ = env.source("in", source.clone()).uid("in").sink("out", written.clone()).uid("out");
    });
    job.start(2);
    feed.push(0, 0..10);
    let savepoint = job.savepoint().expect("it is taken");
    assert!(out.committed(&job).is_empty());
    job.kill();
    let (source, written) = (feed.clone(), out.clone());
    job.rebuild(move |env| {
        let _ =
            env.source("in", source.clone()).uid("in").sink("out", written.clone()).uid("out").parallelism(3);
    });
    job.start_from_savepoint(&savepoint, 2);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job), (0..10).collect::<Vec<_>>());
}
