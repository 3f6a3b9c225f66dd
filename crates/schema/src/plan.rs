//! The JSON form of the job graph: `/jobs/:id/plan`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{InputView, JobView, VertexView};

/// `GET /jobs/:id/plan`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobPlan {
    pub plan: Plan,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    pub jid: String,
    pub name: String,
    pub r#type: String,
    pub nodes: Vec<PlanNode>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanNode {
    pub id: String,
    pub operator: String,
    pub parallelism: u32,
    pub operator_strategy: String,
    pub description: String,
    pub optimizer_properties: Nothing,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PlanInput>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Nothing {}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanInput {
    pub id: String,
    pub num: usize,
    pub exchange: String,
    pub ship_strategy: String,
    /// The tag of the side output whose records the edge carries; not in Flink.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub side_output: Option<String>,
}

pub(crate) fn job_type(job: &JobView) -> String {
    if job.streaming { "STREAMING" } else { "BATCH" }.to_owned()
}

impl Plan {
    pub fn of(job: &JobView) -> Self {
        Self {
            jid: job.id.to_string(),
            name: job.name.clone(),
            r#type: job_type(job),
            nodes: job.vertices.iter().map(PlanNode::of).collect(),
        }
    }
}

impl PlanNode {
    fn of(vertex: &VertexView) -> Self {
        let input = |(num, input): (usize, &InputView)| PlanInput {
            id: input.from.to_string(),
            num,
            exchange: "pipelined_bounded".to_owned(),
            ship_strategy: input.ship_strategy.clone(),
            side_output: input.side_output.clone(),
        };
        Self {
            id: vertex.id.to_string(),
            operator: String::new(),
            parallelism: vertex.parallelism,
            operator_strategy: String::new(),
            description: description(&vertex.operators),
            optimizer_properties: Nothing {},
            inputs: vertex.inputs.iter().enumerate().map(input).collect(),
        }
    }
}

/// The operators of a chain as a tree in HTML. Flink's dashboard displays the text as it is, so the names, which
/// users choose, are escaped.
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
