#![deny(warnings)]

use taskscope::cancellable;

mod task {
    pub fn spawn(n: u32) -> u32 {
        n
    }
}

mod thread {
    pub fn spawn(n: u32) -> u32 {
        n
    }
    pub fn sleep(n: u32) -> u32 {
        n
    }
}

mod time {
    pub fn timeout(n: u32, m: u32) -> u32 {
        n + m
    }
}

mod select {
    pub fn first(n: u32) -> u32 {
        n
    }
}

mod timeout {
    pub fn timeout(n: u32, m: &mut u32) -> u32 {
        n + *m
    }
}

mod fs {
    pub fn read(n: u32) -> u32 {
        n
    }
}

// `self::`, `crate::` and `super::` lead into this crate.
#[cancellable]
async fn by_path() -> u32 {
    let mut n = self::task::spawn(1) + crate::thread::spawn(2) + self::thread::sleep(3);
    n += crate::time::timeout(1, 2);
    n + select::first(1) + timeout::timeout(1, &mut 2) + fs::read(2)
}

mod inner {
    use taskscope::cancellable;

    #[cancellable]
    pub async fn from_outside() -> u32 {
        super::task::spawn(1) + super::thread::sleep(1)
    }

    // Imported in the function, which the macro sees.
    #[cancellable]
    pub async fn imported() -> u32 {
        use crate::thread;
        use crate::{task, time};

        task::spawn(1) + thread::sleep(2) + thread::spawn(3) + time::timeout(4, 5)
    }
}

// Declared in the module, which the macro sees.
#[cancellable]
mod annotated {
    mod task {
        pub fn spawn(n: u32) -> u32 {
            n
        }
    }

    struct JoinSet(u32);

    impl JoinSet {
        fn new() -> Self {
            Self(1)
        }
    }

    pub async fn declared() -> u32 {
        task::spawn(1) + JoinSet::new().0
    }
}

fn main() {
    drop(by_path());
    drop(inner::from_outside());
    drop(inner::imported());
    drop(annotated::declared());
}
