//! Tests that run programs, send signals, or replace what a process has once, such as the report hook.

mod conformance;
mod ending;
mod entry_main;
mod report_hook;
mod report_texts;
