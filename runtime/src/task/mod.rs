//! Tasks as their owners see them: outputs, errors, handles and sets of handles.
//!
//! [`TaskHandle`](crate::TaskHandle), [`TaskSet`](crate::TaskSet),
//! [`TaskError`](crate::TaskError) and [`Value`](crate::Value) are in the crate root. This
//! module has what identifies a task, what says how far it is, and the traits of its output.

pub(crate) mod describe;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod output;
pub(crate) mod set;
pub(crate) mod state;
pub(crate) mod summary;

pub use crate::notes::outcome::Outcome;
pub use handle::DoneId;
pub use id::TaskId;
pub use output::{TaskOutput, TaskResult, ValueOf};
pub use state::TaskState;
