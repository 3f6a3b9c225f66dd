//! What operators keep in checkpoints, as the job graph has it: tables by key, and lists without a key.
//!
//! An operator's tables are known once it is built. So for the graph it is built in front of nothing, asked, and dropped.

use crate::async_calls::UnderWay;
use crate::failure::OperatorName;
use crate::keyed::BROADCAST;
use crate::stage::{Control, EndOfChain, Stage};
use crate::stages::{WATERMARKS, sink};
use bytes::Bytes;
use reflow_api::operator_state::OperatorList;
use reflow_api::states::States;
use reflow_graph::{DeclaredList, DeclaredState, StateKind};
use reflow_state::TableId;
use reflow_types::data::Schema;
use reflow_types::{Data, Key, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A record that comes here is dropped: only operators that take none stand in front of it.
impl<T> Stage<T> for EndOfChain {
    fn push(&mut self, _: T, _: Timestamp) {}
}

/// The name of an operator that is built only for its tables.
pub fn nameless() -> OperatorName {
    OperatorName { name: String::new(), uid: String::new() }
}

/// The tables of an operator, whose kinds `kind` tells by their numbers.
pub fn tables(operator: &mut impl Control, kind: impl Fn(TableId) -> StateKind) -> Vec<DeclaredState> {
    let mut states = Vec::new();
    operator.tables(&mut |table| {
        states.push(DeclaredState {
            table: table.id().0,
            name: table.name().to_owned(),
            kind: kind(table.id()),
            time_to_live: None,
            schema: Some(table.schema().clone()),
        });
    });
    states
}

/// The tables of an operator with the states that its function declares. The others are timers.
pub fn tables_of_function<K: Key, S: States<K>>(
    operator: &mut impl Control,
    declaration: &S,
) -> Vec<DeclaredState> {
    let mut declared: BTreeMap<TableId, (StateKind, Option<Duration>)> = BTreeMap::new();
    declaration.declarations(&mut |state| {
        declared.insert(state.table, (state.kind, state.time_to_live));
    });
    let kind = |table| declared.get(&table).map_or(StateKind::Timers, |(kind, _)| *kind);
    let mut states = tables(operator, kind);
    for state in &mut states {
        state.time_to_live = declared.get(&TableId(state.table)).and_then(|(_, time_to_live)| *time_to_live);
    }
    states
}

/// The lists of a source, whose splits are `S`.
pub fn lists_of_source<S: Data>() -> Vec<DeclaredList> {
    vec![list::<S>(DeclaredList::SPLITS)]
}

/// The lists of an operator that assigns event time.
pub fn lists_of_event_time() -> Vec<DeclaredList> {
    vec![list::<(u64, Timestamp)>(WATERMARKS)]
}

/// The lists of a sink.
pub fn lists_of_sink() -> Vec<DeclaredList> {
    vec![
        list::<Bytes>(sink::TRANSACTIONS),
        list::<sink::WriterTrace>(sink::WRITERS),
        list::<sink::OpenState>(sink::OPEN),
    ]
}

/// The lists of an operator with the broadcast state `S`.
pub fn lists_of_broadcast<S: Data>() -> Vec<DeclaredList> {
    vec![list::<S>(BROADCAST)]
}

/// The lists of an operator with asynchronous calls for records of type `T`.
pub fn lists_of_async_calls<T: Data>() -> Vec<DeclaredList> {
    vec![list::<UnderWay<T>>(DeclaredList::UNDER_WAY)]
}

/// The lists that a function declares.
pub fn lists_of_function(lists: Vec<OperatorList>) -> Vec<DeclaredList> {
    let list = |list: OperatorList| DeclaredList {
        name: DeclaredList::of_function(&list.name),
        schema: Some(list.schema),
    };
    lists.into_iter().map(list).collect()
}

fn list<T: Data>(name: &str) -> DeclaredList {
    DeclaredList { name: name.to_owned(), schema: Some(Schema::of::<T>()) }
}
