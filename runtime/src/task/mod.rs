//! Tasks as their owners see them: outputs, errors, handles and sets of handles.

pub(crate) mod describe;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod set;
pub(crate) mod summary;
