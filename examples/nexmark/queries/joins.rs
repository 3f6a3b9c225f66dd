//! Queries that join two streams by key: q3, q8, q20.

use crate::events::{Auction, Bid, Person};
use reflow::Pipeline;
use reflow::prelude::*;

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

/// q8, monitor new users: who opens an auction in the ten seconds in which they registered.
pub(crate) fn q8(
    persons: Stream<impl Pipeline<Out = Person>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = String>> {
    let persons = persons.map(|person| (person.id, person.name)).key_by(|(id, _)| *id);
    let sellers = auctions.map(|auction| auction.seller).key_by(|seller| *seller);
    persons
        .connect(sellers)
        .window(TumblingWindows::of(Duration::from_secs(10)))
        .co_group(|id, window, persons, auctions| {
            let seller = persons.last().filter(|_| !auctions.is_empty());
            seller.map(|(_, (_, name))| format!("{id},{name},{}", window.start))
        })
        .uid("q8-join")
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
