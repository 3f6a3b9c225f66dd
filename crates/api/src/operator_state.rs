//! The operator state of functions: lists of items that belong to a subtask and not to a key.
//!
//! A function declares its lists by name, gets their items before it is opened, and adds the items of each list to
//! every snapshot. If the number of subtasks changes, the items are redistributed in the way that the list is declared
//! with. A job in which the subtasks of such a function change is rescaled by a restart from a checkpoint, also where it
//! would otherwise be rescaled live.
//!
//! ```
//! # extern crate reflow_api as reflow;
//! use reflow::operator_state::{OperatorList, RestoredLists, SnapshotLists};
//! use reflow::{UnkeyedContext, UnkeyedProcessFunction, UserError};
//!
//! /// Emits records in groups of `size`, whatever their keys.
//! #[derive(Clone)]
//! struct InGroups {
//!     size: usize,
//!     waiting: Vec<String>,
//! }
//!
//! impl UnkeyedProcessFunction for InGroups {
//!     type In = String;
//!     type Out = Vec<String>;
//!
//!     fn operator_lists(&self) -> Vec<OperatorList> {
//!         vec![OperatorList::split::<String>("waiting")]
//!     }
//!
//!     fn restore(&mut self, lists: &mut RestoredLists) -> Result<(), UserError> {
//!         self.waiting = lists.take("waiting")?;
//!         Ok(())
//!     }
//!
//!     fn snapshot(&mut self, lists: &mut SnapshotLists) -> Result<(), UserError> {
//!         lists.put("waiting", &self.waiting)
//!     }
//!
//!     fn process(
//!         &mut self,
//!         context: &mut impl UnkeyedContext<Vec<String>>,
//!         record: String,
//!     ) -> Result<(), UserError> {
//!         self.waiting.push(record);
//!         if self.waiting.len() >= self.size {
//!             context.emit(std::mem::take(&mut self.waiting));
//!         }
//!         Ok(())
//!     }
//! }
//! ```

use crate::UserError;
use bytes::Bytes;
use reflow_types::Data;
use reflow_types::data::{self, Schema};

/// How the items of all subtasks are redistributed to another number of subtasks.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::operator_state::{OperatorList, Redistribution};
///
/// let positions = OperatorList::split::<u64>("positions");
/// let seen = OperatorList::union::<String>("seen");
/// let rules = OperatorList::broadcast::<String>("rules");
/// assert_eq!(rules.redistribution, Redistribution::Broadcast);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redistribution {
    /// Each item goes to one subtask.
    Split,
    /// Each item goes to every subtask.
    Union,
    /// Every subtask has the same items, and gets one copy.
    Broadcast,
}

/// The declaration of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorList {
    /// Its name, by which a checkpoint finds it. It is unique within the function.
    pub name: String,
    /// How its items are redistributed.
    pub redistribution: Redistribution,
    /// The schema of an item.
    pub schema: Schema,
}

impl OperatorList {
    /// A list of which each item, a `T`, goes to one subtask.
    pub fn split<T: Data>(name: impl Into<String>) -> Self {
        Self::new::<T>(name.into(), Redistribution::Split)
    }

    /// A list of which each item, a `T`, goes to every subtask. All items of all subtasks must fit into each of them.
    pub fn union<T: Data>(name: impl Into<String>) -> Self {
        Self::new::<T>(name.into(), Redistribution::Union)
    }

    /// A list of `T`s that is the same in every subtask, such as what a stream that is broadcast has brought.
    pub fn broadcast<T: Data>(name: impl Into<String>) -> Self {
        Self::new::<T>(name.into(), Redistribution::Broadcast)
    }

    fn new<T: Data>(name: String, redistribution: Redistribution) -> Self {
        Self { name, redistribution, schema: Schema::of::<T>() }
    }
}

/// The items with which a function begins.
#[derive(Debug, Default)]
pub struct RestoredLists(Vec<(String, Vec<Bytes>)>);

impl RestoredLists {
    /// Lists of encoded items by name.
    #[doc(hidden)]
    pub fn new(lists: Vec<(String, Vec<Bytes>)>) -> Self {
        Self(lists)
    }

    /// Takes the items of a list. There are none if the job begins without a checkpoint, or the checkpoint does not have
    /// the list. An error names an item that cannot be decoded.
    pub fn take<T: Data>(&mut self, name: &str) -> Result<Vec<T>, UserError> {
        let Some(list) = self.0.iter_mut().find(|(other, _)| other == name) else {
            return Err(undeclared(name));
        };
        let items = std::mem::take(&mut list.1);
        let item = |(number, item): (usize, &Bytes)| {
            data::decode(item).map_err(|error| {
                let of = std::any::type_name::<T>();
                format!("item {number} of its operator list '{name}' cannot be decoded as {of}: {error}")
                    .into()
            })
        };
        items.iter().enumerate().map(item).collect()
    }
}

/// The items that a snapshot contains.
#[derive(Debug, Default)]
pub struct SnapshotLists(Vec<(String, Vec<Bytes>)>);

impl SnapshotLists {
    /// Empty lists of these names.
    #[doc(hidden)]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| (name, Vec::new())).collect())
    }

    /// Adds items to a list.
    pub fn put<'a, T: Data>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Result<(), UserError> {
        let Some((_, list)) = self.0.iter_mut().find(|(other, _)| other == name) else {
            return Err(undeclared(name));
        };
        for item in items {
            list.push(data::to_vec(item)?.into());
        }
        Ok(())
    }

    /// The encoded items of each list, in the order of the names.
    #[doc(hidden)]
    pub fn into_items(self) -> impl Iterator<Item = Vec<Bytes>> {
        self.0.into_iter().map(|(_, items)| items)
    }
}

fn undeclared(name: &str) -> UserError {
    format!("`operator_lists` of the function does not declare a list '{name}'").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_by_name_and_items_have_a_type() {
        let mut snapshot = SnapshotLists::new(["a".to_owned(), "b".to_owned()]);
        snapshot.put("b", &[1u64, 2]).unwrap();
        snapshot.put("b", &[3u64]).unwrap();
        assert!(snapshot.put("c", &[1u64]).unwrap_err().to_string().contains("'c'"));
        let items: Vec<_> = snapshot.into_items().collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let restored = || RestoredLists::new(names.iter().cloned().zip(items.clone()).collect());
        assert_eq!(restored().take::<u64>("b").unwrap(), [1, 2, 3]);
        assert_eq!(restored().take::<u64>("a").unwrap(), [0u64; 0]);
        assert!(restored().take::<u64>("c").is_err());
        let error = restored().take::<String>("b").unwrap_err().to_string();
        assert!(error.starts_with("item 0 of its operator list 'b' cannot be decoded as"), "{error}");
    }
}
