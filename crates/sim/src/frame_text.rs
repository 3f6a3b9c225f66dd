//! Frames as text, for the trace.

use bytes::Bytes;
use reflow_env::ConnId;
use reflow_protocol::control::{FromExecutor, ToExecutor};
use reflow_protocol::data::{DataFrame, Payload, ToSender};
use reflow_protocol::rescale::HandOver;

/// The prefix of executors' names.
pub const EXECUTOR: &str = "executor";

/// The content of a frame that a process has received, as text. Frames do not carry their type; it follows from the
/// process and the connection.
pub fn of(process: &str, conn: ConnId, frame: &[u8]) -> String {
    if process.starts_with(EXECUTOR) {
        if reflow_executor::is_to_job_manager(conn) {
            return reflow_protocol::decode::<ToExecutor>(frame)
                .map_or_else(|e| e.to_string(), |m| format!("{m:?}"));
        }
        if HandOver::is_one(frame) {
            let decoded = HandOver::decode(Bytes::copy_from_slice(frame));
            return decoded.map_or_else(
                |e| e.to_string(),
                |part| format!("{} to {}: {:?}", part.from, part.to, part.part),
            );
        }
        if conn.0 < ConnId::ACCEPTED {
            let decoded = DataFrame::decode(Bytes::copy_from_slice(frame));
            return decoded.map_or_else(|e| e.to_string(), |frame| data_in_words(&frame));
        }
        return reflow_protocol::decode::<ToSender>(frame)
            .map_or_else(|_| "hello".to_owned(), |m| format!("{m:?}"));
    }
    let from_executor = reflow_protocol::decode::<FromExecutor>(frame);
    from_executor.map_or_else(|_| format!("{} bytes", frame.len()), |message| format!("{message:?}"))
}

fn data_in_words(frame: &DataFrame) -> String {
    let channel = frame.channel;
    let what = match &frame.payload {
        Payload::Records { count, .. } => format!("{count} records"),
        other => format!("{other:?}"),
    };
    format!("edge {} {}→{}: {what}", channel.edge.0, channel.from, channel.to)
}
