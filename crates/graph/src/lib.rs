//! The logical graph, its vertices and edges, and the execution graph. Pure.
