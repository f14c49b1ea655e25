//! What users await most: a resource of tokio that is ready at once.

use taskscope::{Scope, cancellable};
use tokio::sync::{Mutex, mpsc};

use crate::family::{Contestant, Family, Peer, Size, timed};

/// The same function twice: plain, and annotated in a scope.
macro_rules! twice {
    (async fn $plain:ident, $annotated:ident($count:ident: usize) -> usize $body:block) => {
        async fn $plain($count: usize) -> f64 {
            async fn work($count: usize) -> usize $body
            timed($count, work($count)).await
        }

        async fn $annotated($count: usize) -> f64 {
            #[cancellable]
            async fn work($count: usize) -> usize $body
            timed($count, Scope::new().run(work($count))).await
        }
    };
}

twice! {
    async fn lock_plain, lock_annotated(count: usize) -> usize {
        let sum = Mutex::new(0);
        for n in 0..count {
            *sum.lock().await += n;
        }
        sum.into_inner()
    }
}

twice! {
    async fn receive_plain, receive_annotated(count: usize) -> usize {
        const QUEUED: usize = 100;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (mut sum, mut received) = (0, 0);
        while received < count {
            for n in 0..QUEUED {
                sender.send(n).expect("the receiver is there");
            }
            for _ in 0..QUEUED {
                sum += receiver.recv().await.expect("the sender is there");
            }
            received += QUEUED;
        }
        sum
    }
}

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let (locks, messages) = (size.of(1_000_000), size.of(300_000));
    vec![
        Family::timed(
            Contestant::on_one_thread("annotated", locks, lock_annotated),
            vec![Peer::with_goal(
                "await_lock",
                1.05,
                Contestant::on_one_thread("plain lock().await", locks, lock_plain),
            )],
        ),
        Family::timed(
            Contestant::on_one_thread("annotated", messages, receive_annotated),
            vec![Peer::with_goal(
                "await_recv",
                1.05,
                Contestant::on_one_thread("plain send, recv().await", messages, receive_plain),
            )],
        ),
    ]
}
