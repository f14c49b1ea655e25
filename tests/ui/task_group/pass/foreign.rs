//! A `task_group!` of the crate's own, which `#[cancellable]` leaves alone: it takes no `|g|`.

use taskscope::{Group, cancellable};

macro_rules! task_group {
    ($($task:expr),*) => {
        [$($task),*]
    };
}

#[cancellable]
async fn of_the_crate(g: &Group<'_>) -> [usize; 2] {
    task_group!(g.len(), 2)
}

fn main() {
    let _ = of_the_crate;
}
