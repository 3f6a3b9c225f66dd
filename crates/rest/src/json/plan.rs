//! The job graph: `/jobs/:id/plan`.

use reflow_types::{JobId, VertexId};
use serde::Serialize;

use super::job::job_type;
use reflow_view::{InputView, JobView, VertexView};

/// `GET /jobs/:id/plan`
#[derive(Serialize)]
pub(crate) struct JobPlan<'a> {
    pub(crate) plan: Plan<'a>,
}

#[derive(Serialize)]
pub(crate) struct Plan<'a> {
    jid: JobId,
    name: &'a str,
    r#type: &'static str,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: VertexId,
    operator: &'static str,
    parallelism: u32,
    operator_strategy: &'static str,
    description: String,
    optimizer_properties: Nothing,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input<'a>>,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Input<'a> {
    id: VertexId,
    num: usize,
    exchange: &'static str,
    ship_strategy: &'a str,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(job: &'a JobView) -> Self {
        Self {
            jid: job.id,
            name: &job.name,
            r#type: job_type(job),
            nodes: job.vertices.iter().map(Node::of).collect(),
        }
    }
}

impl<'a> Node<'a> {
    fn of(vertex: &'a VertexView) -> Self {
        let input = |(num, input): (usize, &'a InputView)| Input {
            id: input.from,
            num,
            exchange: "pipelined_bounded",
            ship_strategy: &input.ship_strategy,
        };
        Self {
            id: vertex.id,
            operator: "",
            parallelism: vertex.parallelism,
            operator_strategy: "",
            description: description(&vertex.operators),
            optimizer_properties: Nothing {},
            inputs: vertex.inputs.iter().enumerate().map(input).collect(),
        }
    }
}

/// The operators of a chain as a tree in HTML: Flink's dashboard shows the text as it is, so the names, which
/// are the user's, are escaped.
fn description(operators: &[String]) -> String {
    let line = |(depth, name): (usize, &String)| match depth {
        0 => format!("{}<br/>", escape(name)),
        _ => format!("{}+- {}<br/>", "   ".repeat(depth - 1), escape(name)),
    };
    operators.iter().enumerate().map(line).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::description;

    #[test]
    fn a_chain_is_described_as_a_tree() {
        let check = |names: &[&str], expected| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(description(&names), expected);
        };
        check(&["Source: gen"], "Source: gen<br/>");
        check(&["count", "Sink: sink"], "count<br/>+- Sink: sink<br/>");
        check(&["a", "b", "c"], "a<br/>+- b<br/>   +- c<br/>");
        check(&["<script>"], "&lt;script&gt;<br/>");
    }
}
