//! `#[cancellable(loops)]` where a lock is held for the time of a loop: the future stays `Send`, and
//! nobody awaits with the lock.

use std::collections::VecDeque;
use std::sync::{Mutex, RwLock};

use taskscope::{Scope, cancellable};
use taskscope_tests::{Driven, paused, watched};

fn sent<F: Future + Send>(future: F) -> F {
    future
}

#[test]
fn the_head_of_a_loop_holds_it() {
    #[cancellable(loops)]
    async fn iterated(numbers: &Mutex<Vec<u32>>) -> u32 {
        let mut sum = 0;
        for n in numbers.lock().unwrap().iter() {
            sum += n;
        }
        for n in &*numbers.lock().unwrap() {
            for _ in 0..2 {
                sum += n;
            }
        }
        sum
    }
    #[cancellable(loops)]
    async fn matched(queue: &Mutex<VecDeque<u32>>) -> u32 {
        let mut sum = 0;
        while let Some(n) = queue.lock().unwrap().pop_front() {
            sum += n;
        }
        sum
    }
    #[cancellable(loops)]
    async fn cloned(numbers: &RwLock<Vec<u32>>) -> u32 {
        let mut sum = 0;
        'outer: for n in numbers.read().unwrap().clone() {
            for _ in 0..2 {
                sum += n;
                if sum > 5 {
                    break 'outer;
                }
            }
        }
        sum
    }
    paused(async || {
        assert_eq!(sent(iterated(&Mutex::new(vec![1, 2]))).await, 9);
        assert_eq!(sent(matched(&Mutex::new([1, 2].into()))).await, 3);
        assert_eq!(sent(cloned(&RwLock::new(vec![1, 2, 3]))).await, 6);
    });
}

#[test]
fn a_match_or_an_if_let_around_a_loop_holds_it() {
    #[cancellable(loops)]
    async fn f(numbers: &Mutex<Vec<u32>>) -> u32 {
        let mut sum = 0;
        match numbers.lock().unwrap().as_slice() {
            [] => {}
            numbers => {
                for n in numbers {
                    sum += n;
                }
            }
        }
        if let Some(last) = numbers.lock().unwrap().last() {
            for _ in 0..*last {
                sum += 1;
            }
        }
        let length = { numbers.lock().unwrap().len() };
        if length == 2
            && let Ok(mut numbers) = numbers.try_lock()
        {
            while let Some(n) = numbers.pop() {
                sum += n;
            }
        }
        sum
    }
    paused(async || assert_eq!(sent(f(&Mutex::new(vec![1, 2]))).await, 8));
}

// How far `loops` comes in a scope that is cancelled from the start.
async fn counted(loops: impl AsyncFnOnce(&mut u32)) -> u32 {
    let mut count = 0;
    let scope = Scope::new();
    let handle = scope.handle();
    let run = scope.run(async {
        handle.cancel();
        loops(&mut count).await;
        std::future::pending::<()>().await;
    });
    run.await.unwrap_err();
    count
}

#[test]
fn other_loops_have_their_checkpoint() {
    // The lock is released before the body, or it is one that may be held.
    #[cancellable(loops)]
    async fn conditional(count: &mut u32, numbers: &Mutex<Vec<u32>>) {
        while numbers.lock().unwrap().len() == 1 {
            *count += 1;
        }
    }
    #[cancellable(loops)]
    async fn of_tokio(count: &mut u32, numbers: &tokio::sync::Mutex<Vec<u32>>) {
        for _ in taskscope::shield(async { numbers.lock().await })
            .await
            .iter()
        {
            *count += 1;
        }
    }
    #[cancellable(loops)]
    async fn after(count: &mut u32, numbers: &Mutex<Vec<u32>>) {
        for _ in numbers.lock().unwrap().iter() {
            *count += 1;
        }
        for _ in 0..10 {
            *count += 1;
        }
    }
    paused(async || {
        let numbers = &Mutex::new(vec![1]);
        assert_eq!(counted(async |n| conditional(n, numbers).await).await, 0);
        let tokios = &tokio::sync::Mutex::new(vec![1]);
        assert_eq!(counted(async |n| of_tokio(n, tokios).await).await, 0);
        assert_eq!(counted(async |n| after(n, numbers).await).await, 1);
    });
}

#[test]
#[allow(clippy::await_holding_lock, reason = "it is asked for")]
fn a_marked_loop_has_its_checkpoint_in_any_case() {
    #[cancellable(loops)]
    async fn marked(count: &mut u32, numbers: &Mutex<Vec<u32>>) {
        #[checkpoint]
        for _ in numbers.lock().unwrap().iter() {
            *count += 1;
        }
    }
    watched(|| {
        let numbers = Mutex::new(vec![1]);
        let mut run = Driven::new(counted(async |n| marked(n, &numbers).await));
        assert_eq!(run.finish(), 0);
    });
}
