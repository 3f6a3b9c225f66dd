//! The regions of a job: the parts that exchange no data with each other, and so can fail and restart alone.
//!
//! A region is a connected component of the job graph. All subtasks of its vertices belong to it, also those between which
//! there is no channel: the readers of one source get their splits from one enumerator, and a split that was assigned
//! after the last checkpoint cannot be taken back from a reader that runs on.

use crate::{JobGraph, VertexIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The number of a region, in the order of the regions' first vertices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegionIndex(pub u16);

impl std::fmt::Display for RegionIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The region of each vertex of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    by_vertex: Vec<RegionIndex>,
}

impl Regions {
    /// The regions of a job.
    pub fn of(job: &JobGraph) -> Self {
        // Each vertex begins in a set of its own, named by its lowest vertex. An edge joins two sets.
        let mut lowest: Vec<usize> = (0..job.vertices.len()).collect();
        for edge in &job.edges {
            let [a, b] = [edge.from, edge.to].map(|vertex| lowest[usize::from(vertex.0)]);
            let (to, from) = (a.min(b), a.max(b));
            lowest.iter_mut().filter(|set| **set == from).for_each(|set| *set = to);
        }
        let sets: BTreeSet<usize> = lowest.iter().copied().collect();
        let number = |set: &usize| RegionIndex(sets.range(..set).count() as u16);
        Self { by_vertex: lowest.iter().map(number).collect() }
    }

    /// The region of a vertex.
    pub fn region(&self, vertex: VertexIndex) -> RegionIndex {
        self.by_vertex[usize::from(vertex.0)]
    }

    /// All regions.
    pub fn all(&self) -> BTreeSet<RegionIndex> {
        self.by_vertex.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edge, Shipping, Vertex};
    use reflow_types::VertexId;

    fn regions(vertices: u16, edges: &[(u16, u16)]) -> Vec<u16> {
        let vertex = |i: u16| Vertex {
            id: VertexId(u128::from(i)),
            name: format!("v{i}"),
            operators: Vec::new(),
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: "default".into(),
            source: false,
            keyed: false,
        };
        let edge = |&(from, to)| Edge {
            from: VertexIndex(from),
            to: VertexIndex(to),
            shipping: Shipping::Forward,
            side_output: None,
        };
        let job = JobGraph {
            vertices: (0..vertices).map(vertex).collect(),
            edges: edges.iter().map(edge).collect(),
            ..JobGraph::default()
        };
        let regions = Regions::of(&job);
        assert_eq!(regions.all().len(), 1 + usize::from(regions.by_vertex.iter().max().map_or(0, |r| r.0)));
        (0..vertices).map(|v| regions.region(VertexIndex(v)).0).collect()
    }

    #[test]
    fn what_an_edge_connects_is_one_region_whatever_its_direction() {
        assert_eq!(regions(1, &[]), [0]);
        assert_eq!(regions(3, &[(0, 1), (1, 2)]), [0, 0, 0]);
        assert_eq!(regions(4, &[(0, 2), (1, 3)]), [0, 1, 0, 1], "two pipelines");
        assert_eq!(regions(4, &[(0, 2), (1, 2)]), [0, 0, 0, 1], "a union, and a vertex of its own");
        assert_eq!(regions(4, &[(0, 1), (0, 2), (0, 3)]), [0, 0, 0, 0], "side outputs");
        assert_eq!(regions(6, &[(2, 3), (0, 1), (4, 5), (1, 5)]), [0, 0, 1, 1, 0, 0]);
        assert_eq!(regions(5, &[(0, 1), (2, 3), (3, 4), (1, 4)]), [0; 5], "joined by the last edge");
    }
}
