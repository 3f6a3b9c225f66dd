//! Entries of a segment that were encoded before the snapshot's walk came by, as blocks to be written there.

use crate::codec;
use reflow_types::Data;

/// Encoded entries without their block's header.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) entries: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Encoded entries, in batches of about a block.
#[derive(Default)]
pub(crate) struct Pending {
    batches: Vec<Batch>,
}

impl Pending {
    /// Encodes an entry. On failure nothing is added.
    pub(crate) fn push<K: Data, V: Data>(
        &mut self,
        block_bytes: usize,
        key: &K,
        value: &V,
    ) -> Result<(), String> {
        if self.batches.last().is_none_or(|batch| batch.bytes.len() >= block_bytes) {
            self.batches.push(Batch::default());
        }
        let batch = self.batches.last_mut().expect("one was pushed");
        codec::encode_put(key, value, &mut batch.bytes)?;
        batch.entries += 1;
        Ok(())
    }

    /// Takes a batch to write, the last first.
    pub(crate) fn pop(&mut self) -> Option<Batch> {
        self.batches.pop()
    }

    /// Drops all batches.
    pub(crate) fn clear(&mut self) {
        self.batches = Vec::new();
    }

    /// Bytes in all batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes.len()).sum()
    }
}
