//! Queries with windows: q5, q7, q11, q12, q18, q19.

use crate::events::Bid;
use reflow::prelude::*;
use reflow::{MAX_WATERMARK, Pipeline};
use std::cmp::Ordering;

const SECOND: Duration = Duration::from_secs(1);

/// q5, hot items: each two seconds, the auctions with most bids in the last ten.
pub(crate) fn q5(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    let counts = bids
        .map(|bid| bid.auction)
        .key_by(|auction| *auction)
        .window(SlidingWindows::of(10 * SECOND, 2 * SECOND))
        .count()
        .uid("q5-counts");
    counts
        .key_by(|of| of.window)
        .window(TumblingWindows::of(2 * SECOND))
        .aggregate(Highest)
        .uid("q5-hottest")
        .flat_map(|of| {
            let window = of.key;
            let line = move |(auction, count)| format!("{},{},{auction},{count}", window.start, window.end);
            of.value.into_iter().map(line)
        })
}

/// The auctions with the highest count, all of them if several have it.
#[derive(Clone)]
struct Highest;

impl Aggregate for Highest {
    type In = Windowed<u64, u64>;
    type Acc = Vec<(u64, u64)>;
    type Out = Vec<(u64, u64)>;

    fn create(&self) -> Self::Acc {
        Vec::new()
    }
    fn add(&self, highest: &mut Self::Acc, of: Windowed<u64, u64>) {
        if highest.first().is_some_and(|(_, count)| of.value > *count) {
            highest.clear();
        }
        if highest.first().is_none_or(|(_, count)| of.value == *count) {
            highest.push((of.key, of.value));
        }
    }
    fn result(&self, highest: &Self::Acc) -> Self::Acc {
        highest.clone()
    }
}

/// q7, highest bid: each ten seconds, the bids with the highest price.
pub(crate) fn q7(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.window_all(TumblingWindows::of(10 * SECOND))
        .aggregate(HighestBids)
        .uid("q7-highest")
        .flat_map(|of| of.value)
}

#[derive(Clone)]
struct HighestBids;

impl Aggregate for HighestBids {
    type In = Bid;
    type Acc = (u64, Vec<String>);
    type Out = Vec<String>;

    fn create(&self) -> Self::Acc {
        (0, Vec::new())
    }
    fn add(&self, (highest, bids): &mut Self::Acc, bid: Bid) {
        if bid.price > *highest {
            *highest = bid.price;
            bids.clear();
        }
        if bid.price == *highest {
            bids.push(format!("{},{},{},{},{}", bid.auction, bid.bidder, bid.price, bid.time, bid.extra));
        }
    }
    fn result(&self, (_, bids): &Self::Acc) -> Vec<String> {
        bids.clone()
    }
}

impl MergeableAggregate for HighestBids {
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> JobResult {
        match acc.0.cmp(&other.0) {
            Ordering::Less => *acc = other,
            Ordering::Equal => acc.1.extend(other.1),
            Ordering::Greater => {}
        }
        Ok(())
    }
}

/// q11, user sessions: how many bids a bidder makes without a pause of more than ten seconds.
pub(crate) fn q11(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.map(|bid| bid.bidder)
        .key_by(|bidder| *bidder)
        .window(SessionWindows::with_gap(10 * SECOND))
        .count()
        .uid("q11-sessions")
        .map(|of| format!("{},{},{},{}", of.key, of.value, of.window.start, of.window.end))
}

/// q12, processing time windows: how many bids a bidder makes in ten seconds of the wall clock. It depends on the clock
/// which bids are counted together.
pub(crate) fn q12(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.map(|bid| bid.bidder).key_by(|bidder| *bidder).process(CountByClock).uid("q12-counts")
}

/// Windows of processing time emit nothing if they are open when the input ends, so that the counts of a bounded input
/// would not add up. This counts the rest, too.
#[derive(Clone)]
struct CountByClock;

impl ProcessFunction for CountByClock {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = u64;

    fn process(&mut self, context: &mut impl Context<u64, u64, String>, _: u64) -> JobResult {
        let end = context.processing_time() / 10_000 * 10_000 + 10_000;
        context.register_timer(TimeDomain::Processing, end);
        context.register_timer(TimeDomain::Event, MAX_WATERMARK);
        *context.state_mut() += 1;
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, u64, String>,
        _: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        if let Some(count) = context.state().copied() {
            let bidder = *context.key();
            context.emit(format!("{bidder},{count}"));
            context.clear_state();
        }
        Ok(())
    }
}

/// q18, find last bid: the last bid of each bidder for each auction, at the end of the input.
pub(crate) fn q18(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.key_by(|bid| (bid.bidder, bid.auction))
        .window(GlobalWindows)
        .reduce(|a, b| if b.time > a.time { b } else { a })
        .uid("q18-last")
        .map(|of| {
            let Bid { auction, bidder, price, channel, url, time, extra } = of.value;
            format!("{auction},{bidder},{price},{channel},{url},{time},{extra}")
        })
}

/// q19, auction top 10: the ten highest bids of each auction with their ranks, at the end of the input. Of equal bids,
/// the earlier one comes first.
pub(crate) fn q19(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.key_by(|bid| bid.auction).window(GlobalWindows).aggregate(TopTen).uid("q19-top").flat_map(|of| {
        let auction = of.key;
        let ranked = of.value.into_iter().zip(1..);
        ranked.map(move |((price, bidder, time), rank)| format!("{auction},{bidder},{price},{time},{rank}"))
    })
}

/// Price, bidder and time of the ten highest bids, the highest first.
#[derive(Clone)]
struct TopTen;

impl Aggregate for TopTen {
    type In = Bid;
    type Acc = Vec<(u64, u64, Timestamp)>;
    type Out = Vec<(u64, u64, Timestamp)>;

    fn create(&self) -> Self::Acc {
        Vec::new()
    }
    fn add(&self, top: &mut Self::Acc, bid: Bid) {
        let before = |(price, _, time): &(u64, u64, Timestamp)| {
            *price > bid.price || (*price == bid.price && *time < bid.time)
        };
        let place = top.partition_point(before);
        top.insert(place, (bid.price, bid.bidder, bid.time));
        top.truncate(10);
    }
    fn result(&self, top: &Self::Acc) -> Self::Acc {
        top.clone()
    }
}
