//! Queries that join two streams by key: q3, q8, q20.

use crate::events::{Auction, Bid, Person};
use reflow::Pipeline;
use reflow::prelude::*;
use std::collections::BTreeMap;

/// q3, local item suggestion: who in three states sells what of a category. Nothing bounds how far apart a person and an
/// auction are, so both are kept for good.
pub(crate) fn q3(
    auctions: Stream<impl Pipeline<Out = Auction>>,
    persons: Stream<impl Pipeline<Out = Person>>,
) -> Stream<impl Pipeline<Out = String>> {
    let auctions =
        auctions.filter(|auction| auction.category == 10).map(|auction| (auction.seller, auction.id));
    let persons = persons
        .filter(|person| ["OR", "ID", "CA"].contains(&person.state.as_str()))
        .map(|Person { id, name, city, state, .. }| (id, format!("{name},{city},{state}")));
    let auctions = auctions.key_by(|(seller, _)| *seller);
    auctions.connect(persons.key_by(|(id, _)| *id)).process(LocalItems).uid("q3-join")
}

/// The auctions of a seller, and the seller once known.
#[derive(Default, Data)]
struct Seller {
    person: Option<String>,
    auctions: Vec<u64>,
}

#[derive(Clone)]
struct LocalItems;

impl CoProcessFunction for LocalItems {
    type Key = u64;
    type First = (u64, u64);
    type Second = (u64, String);
    type Out = String;
    type State = Seller;

    fn process_first(
        &mut self,
        context: &mut impl Context<u64, Seller, String>,
        (_, auction): (u64, u64),
    ) -> JobResult {
        let (seller, mut emit) = context.state_and_emit();
        match &seller.person {
            Some(person) => emit(format!("{person},{auction}")),
            None => seller.auctions.push(auction),
        }
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<u64, Seller, String>,
        (_, person): (u64, String),
    ) -> JobResult {
        let (seller, mut emit) = context.state_and_emit();
        seller.auctions.drain(..).for_each(|auction| emit(format!("{person},{auction}")));
        seller.person = Some(person);
        Ok(())
    }
}

const WINDOW: Timestamp = 10_000;

/// q8, monitor new users: who opens an auction in the ten seconds in which they registered.
pub(crate) fn q8(
    persons: Stream<impl Pipeline<Out = Person>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = String>> {
    let persons = persons.map(|person| (person.id, person.time / WINDOW * WINDOW, person.name));
    let auctions = auctions.map(|auction| (auction.seller, auction.time / WINDOW * WINDOW));
    let persons = persons.key_by(|(id, ..)| *id);
    persons.connect(auctions.key_by(|(seller, _)| *seller)).process(NewSellers).uid("q8-join")
}

/// The windows of a person, until they are over: whether the person registered in it, and whether it has an auction.
type Windows = BTreeMap<Timestamp, (Option<String>, bool)>;

#[derive(Clone)]
struct NewSellers;

impl NewSellers {
    /// Emits the person if the window has got its second half with this change.
    fn change(
        context: &mut impl Context<u64, Windows, String>,
        window: Timestamp,
        change: impl FnOnce(&mut (Option<String>, bool)),
    ) {
        let key = *context.key();
        context.register_timer(TimeDomain::Event, window + WINDOW);
        let (windows, mut emit) = context.state_and_emit();
        let halves = windows.entry(window).or_default();
        let before = matches!(halves, (Some(_), true));
        change(halves);
        if let ((Some(name), true), false) = (halves, before) {
            emit(format!("{key},{name},{window}"));
        }
    }
}

impl CoProcessFunction for NewSellers {
    type Key = u64;
    type First = (u64, Timestamp, String);
    type Second = (u64, Timestamp);
    type Out = String;
    type State = Windows;

    fn process_first(
        &mut self,
        context: &mut impl Context<u64, Windows, String>,
        (_, window, name): (u64, Timestamp, String),
    ) -> JobResult {
        Self::change(context, window, |(person, _)| *person = Some(name));
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<u64, Windows, String>,
        (_, window): (u64, Timestamp),
    ) -> JobResult {
        Self::change(context, window, |(_, sells)| *sells = true);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, Windows, String>,
        time: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        let windows = context.state_mut();
        windows.retain(|window, _| window + WINDOW > time);
        if windows.is_empty() {
            context.clear_state();
        }
        Ok(())
    }
}

/// q20, expand bid with auction: the bids for auctions of a category, with the auction. As in q3, nothing bounds the
/// state.
pub(crate) fn q20(
    bids: Stream<impl Pipeline<Out = Bid>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = String>> {
    let bids = bids.map(|Bid { auction, bidder, price, channel, url, time, extra }| {
        (auction, format!("{auction},{bidder},{price},{channel},{url},{time},{extra}"))
    });
    let auctions = auctions.filter(|auction| auction.category == 10).map(
        |Auction { id, item, description, initial_bid, reserve, time, expires, seller, category, extra }| {
            let numbers = format!("{initial_bid},{reserve},{time},{expires},{seller},{category}");
            (id, format!("{item},{description},{numbers},{extra}"))
        },
    );
    let bids = bids.key_by(|(auction, _)| *auction);
    bids.connect(auctions.key_by(|(id, _)| *id)).process(Expand).uid("q20-join")
}

/// An auction once known, and the bids before.
#[derive(Default, Data)]
struct Expanded {
    auction: Option<String>,
    bids: Vec<String>,
}

#[derive(Clone)]
struct Expand;

impl CoProcessFunction for Expand {
    type Key = u64;
    type First = (u64, String);
    type Second = (u64, String);
    type Out = String;
    type State = Expanded;

    fn process_first(
        &mut self,
        context: &mut impl Context<u64, Expanded, String>,
        (_, bid): (u64, String),
    ) -> JobResult {
        let (state, mut emit) = context.state_and_emit();
        match &state.auction {
            Some(auction) => emit(format!("{bid},{auction}")),
            None => state.bids.push(bid),
        }
        Ok(())
    }

    fn process_second(
        &mut self,
        context: &mut impl Context<u64, Expanded, String>,
        (_, auction): (u64, String),
    ) -> JobResult {
        let (state, mut emit) = context.state_and_emit();
        state.bids.drain(..).for_each(|bid| emit(format!("{bid},{auction}")));
        state.auction = Some(auction);
        Ok(())
    }
}
