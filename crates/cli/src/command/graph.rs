//! The command `reflow graph`, which draws the job graph as text.

use crate::args::Graph;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{print, print_json};
use crate::selection::{self, Among};
use crate::table::printable;
use reflow_schema::{JobDetails, PlanInput, VertexSummary};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn run(arguments: &Graph) -> Result<(), CliError> {
    let client = Client::new(&arguments.connection)?;
    let job = selection::find(&client, arguments.job.as_deref(), Among::All)?;
    let details = client.job(&job.jid)?;
    if arguments.connection.json {
        return print_json(&details.plan);
    }
    print(&Drawing::of(&details).text)
}

/// The graph as a tree from each source. A job of several regions has a line above the sources of each.
///  A vertex with several inputs is drawn below the first one with all that follows, and
/// is only named below the others.
struct Drawing<'a> {
    /// The name and parallelism of each vertex.
    names: BTreeMap<&'a str, String>,
    /// What each vertex feeds.
    outputs: BTreeMap<&'a str, Vec<(&'a str, &'a PlanInput)>>,
    drawn: BTreeSet<&'a str>,
    text: String,
}

impl<'a> Drawing<'a> {
    fn of(details: &'a JobDetails) -> Self {
        let name = |vertex: &VertexSummary| printable(&format!("{} [{}]", vertex.name, vertex.parallelism));
        let names = details.vertices.iter().map(|vertex| (&*vertex.id, name(vertex))).collect();
        let mut drawing =
            Self { names, outputs: BTreeMap::new(), drawn: BTreeSet::new(), text: String::new() };
        let nodes = &details.plan.nodes;
        for node in nodes {
            for input in &node.inputs {
                drawing.outputs.entry(&input.id).or_default().push((&node.id, input));
            }
        }
        let vertices: BTreeMap<&str, &VertexSummary> =
            details.vertices.iter().map(|vertex| (&*vertex.id, vertex)).collect();
        let region =
            |id: &str| vertices.get(id).and_then(|vertex| Some((vertex.region?, vertex.region_restarts)));
        let mut sources: Vec<_> = nodes.iter().filter(|node| node.inputs.is_empty()).collect();
        sources.sort_by_key(|source| region(&source.id));
        let mut above = None;
        for source in sources {
            let of = region(&source.id);
            if let Some((number, restarts)) = of.filter(|_| above != of) {
                let restarts = if restarts == Some(true) { ", which restarts" } else { "" };
                drawing.text += &format!("region {number}{restarts}:\n");
                above = of;
            }
            let name = drawing.name(&source.id);
            drawing.text += &format!("{name}\n");
            drawing.below(&source.id, "");
        }
        drawing
    }

    fn name(&self, id: &str) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// Draws what a vertex feeds, behind `margin`.
    fn below(&mut self, id: &str, margin: &str) {
        let outputs = self.outputs.get(id).cloned().unwrap_or_default();
        for (index, (to, input)) in outputs.iter().enumerate() {
            let is_last = index + 1 == outputs.len();
            let (branch, deeper) = if is_last { ("└─", "  ") } else { ("├─", "│ ") };
            let tag = input.side_output.as_ref().map(|tag| format!(" {tag}")).unwrap_or_default();
            let edge = printable(&format!("{}{tag}", input.ship_strategy));
            let name = self.name(to);
            let is_new = self.drawn.insert(to);
            let above = if is_new { "" } else { ", above" };
            self.text += &format!("{margin}{branch} {edge} → {name}{above}\n");
            if is_new {
                self.below(to, &format!("{margin}{deeper}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Draws vertices with their inputs.
    fn draw(vertices: &[(&str, &[&str])]) -> String {
        draw_regions(vertices, |_| None)
    }

    /// Draws vertices with their inputs, each of a region that may restart.
    fn draw_regions(vertices: &[(&str, &[&str])], region: impl Fn(&str) -> Option<(u16, bool)>) -> String {
        let input = |id: &&str| json!({ "id": id, "num": 0, "exchange": "pipelined_bounded", "ship_strategy": "HASH", "side_output": null });
        let node = |(id, inputs): &(&str, &[&str])| {
            let inputs: Vec<Value> = inputs.iter().map(input).collect();
            json!({
                "id": id, "operator": "", "parallelism": 2, "operator_strategy": "", "description": "",
                "optimizer_properties": {}, "inputs": inputs,
            })
        };
        let metrics = json!({
            "read-bytes": 0, "read-bytes-complete": true, "write-bytes": 0, "write-bytes-complete": true,
            "read-records": 0, "read-records-complete": true, "write-records": 0, "write-records-complete": true,
            "accumulated-backpressured-time": 0, "accumulated-idle-time": 0, "accumulated-busy-time": 0.0,
        });
        let vertex = |(id, _): &(&str, &[&str])| {
            let (region, restarts) = region(id).unzip();
            json!({
                "id": id, "slotSharingGroupId": "", "name": format!("vertex {id}"), "maxParallelism": 8,
                "parallelism": 2, "status": "RUNNING", "start-time": 0, "end-time": -1, "duration": 0, "tasks": {},
                "metrics": metrics, "region": region, "region-restarts": restarts,
            })
        };
        let nodes: Vec<Value> = vertices.iter().map(node).collect();
        let all: Vec<Value> = vertices.iter().map(vertex).collect();
        let details = json!({
            "jid": "", "application-id": "", "name": "", "isStoppable": false, "state": "RUNNING",
            "job-type": "STREAMING", "schedulerType": "Adaptive", "start-time": 0, "end-time": -1, "duration": 0,
            "maxParallelism": -1, "now": 0, "timestamps": {}, "vertices": all, "status-counts": {},
            "plan": { "jid": "", "name": "", "type": "STREAMING", "nodes": nodes }, "pending-operators": 0,
        });
        Drawing::of(&serde_json::from_value(details).unwrap()).text
    }

    #[test]
    fn a_chain_and_a_branch() {
        let text = draw(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])]);
        let expected =
            "vertex a [2]\n├─ HASH → vertex b [2]\n│ └─ HASH → vertex c [2]\n└─ HASH → vertex d [2]\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_join_is_drawn_once() {
        let text = draw(&[("a", &[]), ("b", &[]), ("j", &["a", "b"]), ("s", &["j"])]);
        let expected = "vertex a [2]\n└─ HASH → vertex j [2]\n  └─ HASH → vertex s [2]\n\
                        vertex b [2]\n└─ HASH → vertex j [2], above\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn regions_are_drawn_one_below_the_other() {
        let vertices: [(&str, &[&str]); 5] =
            [("a", &[]), ("b", &[]), ("c", &["a"]), ("d", &["b"]), ("e", &[])];
        let text = draw_regions(&vertices, |id| match id {
            "b" | "d" => Some((1, true)),
            _ => Some((0, false)),
        });
        let expected = "region 0:\nvertex a [2]\n└─ HASH → vertex c [2]\nvertex e [2]\n\
                        region 1, which restarts:\nvertex b [2]\n└─ HASH → vertex d [2]\n";
        assert_eq!(text, expected);
    }
}
