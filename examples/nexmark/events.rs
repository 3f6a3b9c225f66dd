//! The events of an auction house, in the shapes and proportions of the public Nexmark generator: of 50 events, one is a
//! new person, three are new auctions and 46 are bids. Half of the bids are for the hottest auction, and three quarters
//! are by the most active bidder.
//!
//! An event depends on its index alone. Events are 40 ms of event time apart.

use reflow::prelude::*;

/// Half past seven on the 15th of July 2015, so that an hour of events has a change from morning to day.
const BEGIN: Timestamp = 1_436_945_400_000;
/// The event time between two events.
const STEP_MS: Timestamp = 40;
/// Of so many events one is a person.
const CYCLE: u64 = 50;
/// So many of them are auctions.
const AUCTIONS: u64 = 3;
/// The first id of persons and of auctions.
const FIRST_ID: u64 = 1_000;
/// How many of the newest persons and auctions are active.
const ACTIVE: u64 = 100;
/// How many persons and auctions are named before they exist.
const LEAD: u64 = 10;
/// One in so many ids is hot.
const HOT: u64 = 100;

/// A new person.
#[derive(Clone, Debug, Data)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) credit_card: String,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) time: Timestamp,
    pub(crate) extra: String,
}

/// A new auction.
#[derive(Clone, Debug, Data)]
pub(crate) struct Auction {
    pub(crate) id: u64,
    pub(crate) item: String,
    pub(crate) description: String,
    pub(crate) initial_bid: u64,
    pub(crate) reserve: u64,
    pub(crate) time: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) seller: u64,
    pub(crate) category: u64,
    pub(crate) extra: String,
}

/// A bid.
#[derive(Clone, Debug, Data)]
pub(crate) struct Bid {
    pub(crate) auction: u64,
    pub(crate) bidder: u64,
    pub(crate) price: u64,
    pub(crate) channel: String,
    pub(crate) url: String,
    pub(crate) time: Timestamp,
    pub(crate) extra: String,
}

/// An event.
#[derive(Clone, Debug, Data)]
pub(crate) enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

impl Event {
    /// The event with this index.
    pub(crate) fn new(index: u64) -> Self {
        let mut random = Random(index);
        let time = BEGIN + index as Timestamp * STEP_MS;
        let (cycle, place) = (index / CYCLE, index % CYCLE);
        match place {
            0 => Self::Person(Person::new(FIRST_ID + cycle, time, &mut random)),
            1..=AUCTIONS => Self::Auction(Auction::new(cycle, place, time, &mut random)),
            _ => Self::Bid(Bid::new(cycle, time, &mut random)),
        }
    }
}

impl Person {
    fn new(id: u64, time: Timestamp, random: &mut Random) -> Self {
        let name = format!("{} {}", random.one_of(&FIRST_NAMES), random.one_of(&LAST_NAMES));
        let card: Vec<String> = (0..4).map(|_| format!("{:04}", random.below(10_000))).collect();
        Self {
            id,
            name,
            email: format!("{}@{}.com", random.text(7), random.text(5)),
            credit_card: card.join(" "),
            city: random.one_of(&CITIES).to_owned(),
            state: random.one_of(&STATES).to_owned(),
            time,
            extra: random.text(20),
        }
    }
}

impl Auction {
    fn new(cycle: u64, place: u64, time: Timestamp, random: &mut Random) -> Self {
        let initial_bid = random.price();
        Self {
            id: FIRST_ID + cycle * AUCTIONS + place - 1,
            item: random.text(10),
            description: random.text(30),
            initial_bid,
            reserve: initial_bid + random.price(),
            time,
            expires: time + 1_000 + random.below(40_000) as Timestamp,
            // Three quarters of the auctions are of the hottest seller.
            seller: match random.below(4) {
                0 => random.active(cycle),
                _ => FIRST_ID + cycle / HOT * HOT,
            },
            category: 10 + random.below(5),
            extra: random.text(20),
        }
    }
}

impl Bid {
    fn new(cycle: u64, time: Timestamp, random: &mut Random) -> Self {
        let newest = cycle * AUCTIONS + AUCTIONS - 1;
        let auction = match random.below(2) {
            0 => random.active(newest),
            _ => FIRST_ID + newest / HOT * HOT,
        };
        let bidder = match random.below(4) {
            0 => random.active(cycle),
            _ => FIRST_ID + cycle / HOT * HOT + 1,
        };
        let channel = match random.below(2) {
            0 => format!("channel-{}", random.below(10_000)),
            _ => random.one_of(&CHANNELS).to_owned(),
        };
        let url = format!("https://www.nexmark.com/{}/item.htm?query=1", random.text(5));
        Self { auction, bidder, price: random.price(), channel, url, time, extra: random.text(30) }
    }
}

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// Random numbers that depend on an event's index alone.
struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len() as u64) as usize]
    }

    /// Letters.
    fn text(&mut self, most: u64) -> String {
        let length = most / 2 + self.below(most / 2 + 1);
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    /// A price in cents whose order of magnitude is uniform, from 1 to 1,000,000 dollars.
    fn price(&mut self) -> u64 {
        let share = self.below(1 << 53) as f64 / (1u64 << 53) as f64;
        (10f64.powf(share * 6.0) * 100.0).round() as u64
    }

    /// One of the newest ids, or one that comes soon.
    fn active(&mut self, newest: u64) -> u64 {
        let active = newest.min(ACTIVE);
        FIRST_ID + newest - active + self.below(active + LEAD)
    }
}
