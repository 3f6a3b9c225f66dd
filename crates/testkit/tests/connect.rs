//! Tests of operators with two inputs.

use reflow_api::{
    CoProcessFunction, Context, Input, OnError, OutputTag, RuntimeContext, UnkeyedCoProcessFunction,
    UnkeyedContext, UserError,
};
use reflow_graph::GraphError;
use reflow_stream::{JobError, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};

const UNKNOWN: OutputTag<String> = OutputTag::new("unknown");

/// Adds prices, which are the second stream, to orders. Sends orders without a price to a side output.
#[derive(Clone)]
struct Price;

impl CoProcessFunction for Price {
    type Key = String;
    type First = String;
    type Second = (String, u64);
    type Out = String;
    type State = u64;

    fn process_first(
        &mut self,
        context: &mut impl Context<String, u64, String>,
        order: String,
    ) -> Result<(), UserError> {
        match context.state().copied() {
            Some(price) => context.emit(format!("{order}: {price}")),
            None => context.emit_to(&UNKNOWN, order),
        }
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<String, u64, String>,
        (name, price): (String, u64),
    ) -> Result<(), UserError> {
        if price == 0 {
            return Err(format!("{name} has no price").into());
        }
        *context.state_mut() = price;
        Ok(())
    }
}

#[test]
fn a_keyed_function_has_one_state_for_both_streams_and_side_outputs() {
    let (orders, prices, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
    let (first, second, sink) = (orders.clone(), prices.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let prices = env.source("prices", second.clone()).key_by(|(name, _): &(String, u64)| name.clone());
        let orders = env.source("orders", first.clone()).key_by(|name: &String| name.clone());
        let priced = orders.connect(prices).process(Price).on_error(OnError::Skip);
        let (priced, unknown) = priced.side_output(&UNKNOWN);
        let _ = priced.union(unknown.map(|order| format!("{order}?"))).sink("out", sink.clone());
    })
    .on_executors(2);
    job.start(2);
    orders.push(0, ["tea".to_owned()]);
    job.settle();
    prices.push(0, [("tea".to_owned(), 3), ("milk".to_owned(), 1), ("salt".to_owned(), 0)]);
    job.settle();
    orders.push(0, ["tea", "milk", "salt"].map(str::to_owned));
    job.rescale(3);
    prices.push(0, [("tea".to_owned(), 4)]);
    prices.end();
    job.settle();
    orders.push(0, ["tea".to_owned()]);
    orders.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job), ["milk: 1", "salt?", "tea: 3", "tea: 4", "tea?"]);
}

/// Emits the records of both streams as text.
#[derive(Clone)]
struct Texts;

impl UnkeyedCoProcessFunction for Texts {
    type First = u64;
    type Second = String;
    type Out = String;

    fn process_first(
        &mut self,
        context: &mut impl UnkeyedContext<String>,
        number: u64,
    ) -> Result<(), UserError> {
        context.emit(format!("number {number}"));
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl UnkeyedContext<String>,
        text: String,
    ) -> Result<(), UserError> {
        context.emit(text);
        Ok(())
    }
}

#[test]
fn streams_without_a_key_are_connected_by_forward_edges_in_order() {
    let (numbers, texts, out) = (Feed::new(2), Feed::new(1), Collect::new("out"));
    let (first, second, sink) = (numbers.clone(), texts.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let texts = env.source("texts", second.clone()).map(|text: &str| text.to_owned());
        let both = env.source("numbers", first.clone()).connect(texts).process(Texts);
        let both = both.connect(env.source("none", Feed::<()>::new(0)));
        let _ = both.flat_map(Some, |()| None).sink("out", sink.clone());
    })
    .on_executors(2);
    job.start(2);
    numbers.push(0, 0..5);
    numbers.push(1, 5..10);
    texts.push(0, ["a", "b"]);
    numbers.end();
    texts.end();
    assert!(job.finish(), "{}", job.state());
    let mut expected: Vec<String> = (0..10).map(|number| format!("number {number}")).collect();
    expected.splice(0..0, ["a".to_owned(), "b".to_owned()]);
    assert_eq!(out.committed(&job), expected);
}

/// Emits each number with whether the stream of texts has ended.
#[derive(Clone, Default)]
struct Ends {
    seen: Vec<Input>,
}

impl CoProcessFunction for Ends {
    type Key = u64;
    type First = u64;
    type Second = u64;
    type Out = (u64, usize);
    type State = ();

    fn process_first(
        &mut self,
        context: &mut impl Context<u64, (), (u64, usize)>,
        number: u64,
    ) -> Result<(), UserError> {
        context.emit((number, self.seen.len()));
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<u64, (), (u64, usize)>,
        number: u64,
    ) -> Result<(), UserError> {
        if self.seen.contains(&Input::Second) {
            return Err("the second input has ended".into());
        }
        context.emit((number, self.seen.len()));
        Ok(())
    }

    fn input_ended(&mut self, input: Input, _: &RuntimeContext) -> Result<(), UserError> {
        if self.seen.contains(&input) {
            return Err(format!("{input:?} ends twice").into());
        }
        self.seen.push(input);
        Ok(())
    }
}

/// Each subtask is told of an end once in each attempt, also at another parallelism and if the task was added later.
#[test]
fn the_end_of_an_input_is_told_once_in_each_attempt() {
    let (numbers, rules, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
    let (first, second, sink) = (numbers.clone(), rules.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let rules = env.source("rules", second.clone()).key_by(|rule: &u64| *rule);
        let numbers = env.source("numbers", first.clone()).key_by(|number: &u64| *number);
        let _ = numbers.connect(rules).process(Ends::default()).sink("out", sink.clone());
    })
    .on_executors(2);
    job.start(2);
    numbers.push(0, 0..4);
    rules.push(0, 100..104);
    job.settle();
    rules.end();
    job.settle();
    numbers.push(0, 10..14);
    job.settle();
    for (round, parallelism) in [(2, 3), (3, 1), (4, 2)] {
        assert!(job.checkpoint(), "{}", job.state());
        job.kill();
        job.start(parallelism);
        job.settle();
        numbers.push(0, round * 10..round * 10 + 4);
    }
    numbers.end();
    assert!(job.finish(), "{}", job.state());
    let before = (0..4).chain(100..104).map(|number| (number, 0));
    let behind = (1..5).flat_map(|round| round * 10..round * 10 + 4).map(|number| (number, 1));
    let mut expected: Vec<(u64, usize)> = before.chain(behind).collect();
    expected.sort_unstable();
    assert_eq!(out.committed(&job), expected);
}

#[test]
fn a_broadcast_stream_is_not_broadcast_again() {
    let job = |parallelism: Option<u32>| {
        StreamEnv::build("job", |env| {
            let rules = env.source("rules", Feed::<u64>::new(1)).broadcast();
            let rules = match parallelism {
                Some(parallelism) => rules.parallelism(parallelism),
                None => rules,
            };
            let _ = rules.broadcast().sink("out", Collect::new("out"));
            Ok(())
        })
    };
    let Err(JobError::Graph(error)) = job(None) else {
        panic!("each rule would come once from every subtask")
    };
    assert_eq!(error, GraphError::BroadcastTwice("Broadcast".to_owned()));
    assert!(job(Some(1)).is_ok(), "one subtask sends each rule once");
}
