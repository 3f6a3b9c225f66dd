//! Queries about winning bids: q4, q6.

use crate::events::{Auction, Bid};
use reflow::Pipeline;
use reflow::prelude::*;

/// An auction that is over, with its highest bid.
#[derive(Clone, Debug, Data)]
pub(crate) struct Sold {
    auction: u64,
    category: u64,
    seller: u64,
    expires: Timestamp,
    price: u64,
}

/// The highest bid of each auction, among those between its beginning and its end, when it is over.
fn winning_bids(
    bids: Stream<impl Pipeline<Out = Bid>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = Sold>> {
    let bids = bids.map(|bid| (bid.auction, bid.time, bid.price)).key_by(|(auction, ..)| *auction);
    bids.connect(auctions.key_by(|auction| auction.id)).process(WinningBids)
}

#[derive(Clone)]
struct WinningBids;

/// What is known of an auction. A bid may arrive before its auction does.
#[derive(Default, Data)]
struct Open {
    auction: Option<Auction>,
    /// Time and price.
    bids: Vec<(Timestamp, u64)>,
}

impl CoProcessFunction for WinningBids {
    type Key = u64;
    type First = (u64, Timestamp, u64);
    type Second = Auction;
    type Out = Sold;
    type State = Open;

    fn process_first(
        &mut self,
        context: &mut impl Context<u64, Open, Sold>,
        (_, time, price): (u64, Timestamp, u64),
    ) -> JobResult {
        let open = context.state_mut();
        open.bids.push((time, price));
        if open.auction.is_none() {
            context.register_timer(TimeDomain::Event, time);
        }
        Ok(())
    }

    fn process_second(&mut self, context: &mut impl Context<u64, Open, Sold>, auction: Auction) -> JobResult {
        context.register_timer(TimeDomain::Event, auction.expires);
        context.state_mut().auction = Some(auction);
        Ok(())
    }

    /// All bids and auctions up to `time` have arrived.
    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, Open, Sold>,
        time: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        let (open, mut emit) = context.state_and_emit();
        match &open.auction {
            Some(auction) if auction.expires > time => return Ok(()),
            Some(auction) => {
                let counts = |at: Timestamp| (auction.time..=auction.expires).contains(&at);
                let prices = open.bids.iter().filter(|(at, _)| counts(*at)).map(|(_, price)| *price);
                let Auction { id, category, seller, expires, .. } = *auction;
                if let Some(price) = prices.max() {
                    emit(Sold { auction: id, category, seller, expires, price });
                }
                open.bids.clear();
            }
            // The auction begins later or is over.
            None => open.bids.retain(|(at, _)| *at > time),
        }
        if open.bids.is_empty() {
            drop(emit);
            context.clear_state();
        }
        Ok(())
    }
}

/// The mean of prices.
#[derive(Clone)]
struct Mean;

impl Aggregate for Mean {
    type In = Sold;
    type Acc = (u64, u64);
    type Out = f64;

    fn create(&self) -> (u64, u64) {
        (0, 0)
    }
    fn add(&self, (sum, count): &mut (u64, u64), sold: Sold) {
        *sum += sold.price;
        *count += 1;
    }
    fn result(&self, (sum, count): &(u64, u64)) -> f64 {
        *sum as f64 / *count as f64
    }
}

/// q4, average price for a category, at the end of the input.
pub(crate) fn q4(
    bids: Stream<impl Pipeline<Out = Bid>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = String>> {
    winning_bids(bids, auctions)
        .uid("q4-winning")
        .key_by(|sold| sold.category)
        .window(GlobalWindows)
        .aggregate(Mean)
        .uid("q4-mean")
        .map(|of| format!("{},{:.6}", of.key, of.value))
}

/// q6, average selling price by seller: of the last ten auctions, whenever one is over.
pub(crate) fn q6(
    bids: Stream<impl Pipeline<Out = Bid>>,
    auctions: Stream<impl Pipeline<Out = Auction>>,
) -> Stream<impl Pipeline<Out = String>> {
    let sold = winning_bids(bids, auctions).uid("q6-winning");
    sold.key_by(|sold| sold.seller).process(LastTen).uid("q6-last-ten")
}

/// The auctions that a seller has sold: those that wait until all earlier ones are known, and the last prices.
#[derive(Default, Data)]
struct Sales {
    waiting: Vec<Sold>,
    last: Vec<u64>,
}

#[derive(Clone)]
struct LastTen;

impl ProcessFunction for LastTen {
    type Key = u64;
    type In = Sold;
    type Out = String;
    type State = Sales;

    /// Auctions of a seller come from several subtasks, so their order is that of event time.
    fn process(&mut self, context: &mut impl Context<u64, Sales, String>, sold: Sold) -> JobResult {
        context.register_timer(TimeDomain::Event, sold.expires);
        context.state_mut().waiting.push(sold);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, Sales, String>,
        time: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        let seller = *context.key();
        let (sales, mut emit) = context.state_and_emit();
        let mut due: Vec<Sold> = sales.waiting.extract_if(.., |sold| sold.expires <= time).collect();
        due.sort_by_key(|sold| (sold.expires, sold.auction));
        for sold in due {
            sales.last.push(sold.price);
            let before = sales.last.len().saturating_sub(10);
            sales.last.drain(..before);
            let mean = sales.last.iter().sum::<u64>() as f64 / sales.last.len() as f64;
            emit(format!("{seller},{},{mean:.6}", sold.auction));
        }
        Ok(())
    }
}
