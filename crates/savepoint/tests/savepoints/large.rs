//! Large states.

use crate::columns::files;
use crate::job::Job;
use crate::store::Store;
use reflow::states::{MapState, States, ValueState};
use reflow::{Context, ProcessFunction, StreamEnv, UserError};
use reflow_savepoint::{Counting, Export, FileFormat, Savepoint, export, inspect};
use reflow_testkit::{Collect, Feed, Harness};

/// Values of more than a chunk, and a state of which each part is small beside the whole, are read in bounded pieces.
#[test]
fn a_large_state_under_one_key_is_read_in_pieces() {
    #[derive(Clone)]
    struct Hoard;
    impl ProcessFunction for Hoard {
        type Key = u64;
        type In = (u64, u64);
        type Out = u64;
        type State = HoardStates;
        fn process(
            &mut self,
            context: &mut impl Context<u64, HoardStates, u64>,
            (_, len): (u64, u64),
        ) -> Result<(), UserError> {
            let mut states = context.states();
            for at in 0..len {
                states.pieces.insert(at, "x".repeat(1_000));
            }
            states.whole.set("y".repeat(10_000_000));
            context.emit(len);
            Ok(())
        }
    }
    #[derive(States, Clone)]
    struct HoardStates {
        pieces: MapState<u64, String>,
        whole: ValueState<String>,
    }
    const ENTRIES: u64 = 100_000;
    let (feed, out) = (Feed::new(1), Collect::<u64>::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env: &mut StreamEnv| {
        let hoard = env
            .source("in", source.clone())
            .uid("in")
            .key_by(|record: &(u64, u64)| record.0)
            .process(Hoard)
            .uid("hoard");
        let _ = hoard.sink("out", sink.clone()).uid("out");
    });
    harness.start(1);
    feed.push(0, [(1, ENTRIES)]);
    harness.settle();
    let at = harness.savepoint().expect("a savepoint");
    let job = Job { feed: Feed::new(1), rules: Feed::new(1), out: Collect::new("none"), harness };
    let store = Store::of(&job);
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(&at, &requests).unwrap();
    let report = inspect::inspect(&savepoint, Counting::Yes).unwrap();
    let states =
        &report.vertices.iter().flat_map(|v| &v.operators).find(|o| o.uid == "hoard").unwrap().states;
    let pieces = states.iter().find(|state| state.name == "pieces").unwrap();
    assert_eq!((pieces.keys, pieces.entries), (Some(1), Some(ENTRIES)));
    assert!(pieces.bytes > 100_000_000 && pieces.largest_segment_bytes == pieces.bytes, "{pieces:?}");
    let mut lines = std::io::sink();
    let wanted = Export { uid: "hoard".into(), ..Export::default() };
    let exported = export::export(&savepoint, &wanted, &mut lines, &mut |_| {}).unwrap();
    assert_eq!(exported, ENTRIES + 1);
    let files = files(&store, &at, &wanted, FileFormat::Parquet).unwrap();
    let (batches, rows) = &files["pieces"];
    assert_eq!(*rows, ENTRIES);
    assert!(batches.len() > 5, "a batch is bounded");
    assert_eq!(batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), ENTRIES);
    assert!(*store.largest.borrow() <= 10_100_000, "{}", store.largest.borrow());
}
