//! The streams that the queries read.

use crate::events::{Auction, Bid, Event, Person};
use reflow::prelude::*;
use reflow::{Pipeline, SharedStream};

pub(crate) fn time(event: &Event) -> Timestamp {
    match event {
        Event::Person(Person { time, .. })
        | Event::Auction(Auction { time, .. })
        | Event::Bid(Bid { time, .. }) => *time,
    }
}

pub(crate) fn persons(events: &SharedStream<Event>) -> Stream<impl Pipeline<Out = Person> + use<>> {
    events.filter(|event| matches!(event, Event::Person(_))).filter_map(|event| match event {
        Event::Person(person) => Some(person),
        _ => None,
    })
}

pub(crate) fn auctions(events: &SharedStream<Event>) -> Stream<impl Pipeline<Out = Auction> + use<>> {
    events.filter(|event| matches!(event, Event::Auction(_))).filter_map(|event| match event {
        Event::Auction(auction) => Some(auction),
        _ => None,
    })
}

pub(crate) fn bids(events: &SharedStream<Event>) -> Stream<impl Pipeline<Out = Bid> + use<>> {
    events.filter(|event| matches!(event, Event::Bid(_))).filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}
