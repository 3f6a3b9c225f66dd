//! Writes the events of the Nexmark example as CSV files, for DuckDB: `nexmark_events EVENTS DIRECTORY`.

mod events;

use events::{Auction, Bid, Event, Person};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, directory] = arguments.as_slice() else {
        return Err("usage: nexmark_events EVENTS DIRECTORY".into());
    };
    let directory = Path::new(directory);
    fs::create_dir_all(directory)?;
    let file = |name: &str| File::create(directory.join(name)).map(BufWriter::new);
    let (mut persons, mut auctions, mut bids) =
        (file("persons.csv")?, file("auctions.csv")?, file("bids.csv")?);
    for index in 0..count.parse()? {
        match Event::new(index) {
            Event::Person(Person { id, name, email, credit_card, city, state, time, extra }) => {
                writeln!(persons, "{id},{name},{email},{credit_card},{city},{state},{time},{extra}")?;
            }
            Event::Auction(auction) => {
                let Auction { id, item, description, initial_bid, reserve, .. } = &auction;
                let Auction { time, expires, seller, category, extra, .. } = &auction;
                let numbers = format!("{initial_bid},{reserve},{time},{expires},{seller},{category}");
                writeln!(auctions, "{id},{item},{description},{numbers},{extra}")?;
            }
            Event::Bid(Bid { auction, bidder, price, channel, url, time, extra }) => {
                writeln!(bids, "{auction},{bidder},{price},{channel},{url},{time},{extra}")?;
            }
        }
    }
    for mut file in [persons, auctions, bids] {
        file.flush()?;
    }
    Ok(())
}
