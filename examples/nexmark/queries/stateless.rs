//! Queries without state: q0, q1, q2, q13, q14.

use crate::events::Bid;
use jiff::Timestamp as Time;
use jiff::tz::TimeZone;
use reflow::prelude::*;
use reflow::{Pipeline, RuntimeContext};
use std::collections::HashMap;

/// q0, pass through: what it costs to do nothing.
pub(crate) fn q0(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.map(|Bid { auction, bidder, price, time, extra, .. }| {
        format!("{auction},{bidder},{price},{time},{extra}")
    })
}

/// A price in euros, exact.
fn in_euros(cents: u64) -> String {
    let thousandths = cents * 908;
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

/// q1, currency conversion.
pub(crate) fn q1(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.map(|Bid { auction, bidder, price, time, extra, .. }| {
        format!("{auction},{bidder},{},{time},{extra}", in_euros(price))
    })
}

/// q2, selection: the bids for some auctions.
pub(crate) fn q2(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.filter(|bid| bid.auction % 123 == 0).map(|bid| format!("{},{}", bid.auction, bid.price))
}

/// q13, bounded side input join: bids with what a table has for their auctions.
pub(crate) fn q13(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.process(LookUp::default()).uid("q13-look-up")
}

#[derive(Clone, Default)]
struct LookUp {
    table: HashMap<u64, String>,
}

impl UnkeyedProcessFunction for LookUp {
    type In = Bid;
    type Out = String;

    /// Loads the table. A real one would come from a file or a database.
    fn open(&mut self, _: &RuntimeContext) -> JobResult {
        self.table = (0..10_000).filter(|key| key % 3 == 0).map(|key| (key, format!("side-{key}"))).collect();
        Ok(())
    }

    fn process(&mut self, context: &mut impl UnkeyedContext<String>, bid: Bid) -> JobResult {
        if let Some(value) = self.table.get(&(bid.auction % 10_000)) {
            let Bid { auction, bidder, price, time, .. } = bid;
            context.emit(format!("{auction},{bidder},{price},{time},{value}"));
        }
        Ok(())
    }
}

/// q14, calculation: bids of a middling price, with the time of day and the number of letters c.
pub(crate) fn q14(bids: Stream<impl Pipeline<Out = Bid>>) -> Stream<impl Pipeline<Out = String>> {
    bids.filter(|bid| (1_000_000_001..50_000_000_000).contains(&(bid.price * 908))).map(|bid| {
        let hour = Time::from_millisecond(bid.time).map(|time| time.to_zoned(TimeZone::UTC).hour());
        let time_of_day = match hour {
            Ok(8..=18) => "dayTime",
            Ok(..=6 | 20..) => "nightTime",
            _ => "otherTime",
        };
        let count = bid.extra.matches('c').count();
        let Bid { auction, bidder, price, time, extra, .. } = bid;
        format!("{auction},{bidder},{},{time_of_day},{time},{extra},{count}", in_euros(price))
    })
}
