//! A library whose `macro_rules!` write cancellable functions, as its users see it: they do not
//! depend on taskscope themselves.

pub use taskscope;

/// What the macros of the library name.
pub mod __private {
    pub use taskscope::{cancellable, defer, on_cancel, task_group};
}

/// Macros of taskscope, handed on.
pub mod handed_on {
    pub use taskscope::{race, task_group};
}

/// What has the name of a macro of taskscope, and is none.
pub mod functions {
    pub fn defer() -> &'static str {
        "a function"
    }
}

/// An async function that logs `end` when it is left, however that happens.
#[macro_export]
macro_rules! logged {
    (async fn $name:ident($log:ident) $body:block) => {
        #[$crate::library::__private::cancellable(crate = $crate::library::taskscope)]
        async fn $name($log: &$crate::Log) {
            $crate::library::__private::defer! { $log.add("end"); }
            $crate::library::__private::on_cancel! { $log.add("cancelled"); }
            $crate::library::__private::task_group!(|_| $body)
                .await
                .unwrap()
        }
    };
}
