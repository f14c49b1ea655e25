#![deny(warnings)]
#![allow(clippy::never_loop)]

use std::future::ready;
use taskscope::{cancellable, join, race, defer};

macro_rules! next_or_return {
    ($numbers:expr) => {
        match $numbers.pop() {
            Some(number) => number,
            None => return 0,
        }
    };
}

#[cancellable]
async fn awaits() {
    loop {
        ready(()).await;
    }
}

#[cancellable]
async fn awaits_in_a_macro() {
    loop {
        println!("{}", ready(1).await);
    }
}

#[cancellable]
async fn joins() {
    loop {
        join!(ready(1), ready(2));
    }
}

#[cancellable]
async fn races() {
    loop {
        race! { () = ready(()) => {} }
    }
}

#[cancellable]
async fn cleans_up() {
    loop {
        defer! { ready(()).await; }
        std::hint::spin_loop();
    }
}

#[cancellable]
async fn ends(mut numbers: Vec<u32>) -> Option<u32> {
    'all: loop {
        loop {
            match numbers.pop() {
                Some(0) => break,
                Some(1) => break 'all,
                Some(2) => continue 'all,
                Some(3) => return None,
                Some(n) => u8::try_from(n).ok().map(drop)?,
                None => panic!("no number"),
            }
        }
    }
    let first = 'found: {
        loop {
            let Some(n) = numbers.pop() else { break 'found 0 };
            if n == 1 {
                std::process::exit(1);
            }
        }
    };
    Some(first)
}

#[cancellable]
async fn ends_in_a_macro(mut numbers: Vec<u32>) -> u32 {
    loop {
        next_or_return!(numbers);
    }
}

#[cancellable]
async fn marked(mut n: u64) -> u64 {
    #[checkpoint]
    loop {
        n = n.wrapping_mul(3);
    }
}

#[cancellable]
async fn marked_inside(mut numbers: Vec<u32>) {
    loop {
        #[checkpoint]
        for number in &mut numbers {
            *number += 1;
        }
    }
}

#[cancellable(loops)]
async fn all_marked(mut n: u64) {
    loop {
        n = n.wrapping_mul(3);
        #[no_checkpoint]
        while n % 2 == 0 {
            n /= 2;
        }
    }
}

// With a condition, it is the condition that ends it.
#[cancellable]
async fn conditions(mut numbers: Vec<u32>) -> usize {
    while numbers.len() > 3 {
        numbers.pop();
    }
    while let Some(1) = numbers.pop() {}
    for _ in 0.. {
        numbers.push(1);
    }
    numbers.len()
}

#[cancellable]
mod with_functions_that_do_not_return {
    fn stop() -> ! {
        std::process::exit(1)
    }

    pub async fn function(mut n: u32) {
        fn stop_here() -> ! {
            std::process::exit(2)
        }
        loop {
            n += 1;
            if n == 7 {
                loop {
                    stop_here();
                }
            }
            if n > 9 {
                stop();
            }
        }
    }
}

fn main() {
    fn is_future<F: Future>(_: F) {}
    is_future(awaits());
    is_future(awaits_in_a_macro());
    is_future(joins());
    is_future(races());
    is_future(cleans_up());
    is_future(ends(Vec::new()));
    is_future(ends_in_a_macro(Vec::new()));
    is_future(marked(1));
    is_future(marked_inside(Vec::new()));
    is_future(all_marked(1));
    is_future(conditions(Vec::new()));
    is_future(with_functions_that_do_not_return::function(1));
}
