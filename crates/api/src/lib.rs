//! What users and connectors write against: sources, sinks, operators, windows.
