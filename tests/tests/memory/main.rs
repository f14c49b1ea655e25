//! Tests that count the allocations, live bytes and live tasks of the whole process, one at a time.

mod conformance;
mod counting;
mod lazy_nodes;
mod size_and_send;
mod tasks;
mod trees;
