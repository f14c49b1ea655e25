#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod __private;
mod ambient;
mod boundary;
mod cleanup;
mod context;
mod error;
mod exit;
mod group;
mod group_run;
mod handle;
mod join;
#[cfg(all(test, taskscope_loom))]
mod loom_tests;
mod node;
mod output;
mod reason;
mod region;
mod report;
mod scope;
mod scoped;
mod set;
mod shared;
mod shield;
mod sync;
mod table;
mod task;
mod wakeset;

pub use ambient::{cancelled, checkpoint, deadline, is_cancelled, is_stopping, stopping};
pub use context::Gate;
pub use error::{BoxError, Cause, Failure, GroupError, TaskError};
pub use group::{Group, LocalGroup, OnFailure, Permit, TaskGroup};
pub use handle::{DoneId, Outcome, TaskHandle, TaskId, TaskState};
pub use output::{TaskOutput, TaskResult, Value, ValueOf};
pub use reason::{Cancelled, Reason};
pub use report::{Report, ReportKind, Stats, set_report_hook, stats};
pub use scope::{CancelHandle, Scope, ScopeRun, timeout, timeout_at};
pub use set::TaskSet;
pub use shield::{Shield, shield};
pub use taskscope_macros::{cancellable, checkpoint, defer, no_checkpoint, on_cancel, task_group};
