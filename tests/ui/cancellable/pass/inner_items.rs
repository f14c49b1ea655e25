#![deny(warnings)]

use taskscope::{cancellable, is_cancelled};

async fn step(n: u32) -> u32 {
    n
}

#[cancellable(loops)]
async fn inner() -> u32 {
    const TABLE: [u32; 3] = {
        let mut table = [0; 3];
        let mut n = 0;
        while n < 3 {
            table[n] = n as u32;
            n += 1;
        }
        table
    };
    static ZERO: u32 = {
        let mut n = 3;
        loop {
            if n == 0 {
                break n;
            }
            n -= 1;
        }
    };
    fn plain(n: u32) -> u32 {
        let mut sum = 0;
        for n in 0..n {
            sum += n;
        }
        sum
    }
    async fn own(n: u32) -> u32 {
        step(n).await
    }
    struct Local(u32);
    impl Local {
        const ONE: u32 = {
            let mut n = 0;
            while n < 1 {
                n += 1;
            }
            n
        };
        async fn get(&self) -> u32 {
            step(self.0).await
        }
    }
    mod deep {
        pub(super) async fn deepest(n: u32) -> u32 {
            super::step(n).await
        }
    }
    macro_rules! twice {
        ($e:expr) => {
            $e + $e
        };
    }
    let array = [0u32; {
        let mut n = 0;
        while n < 2 {
            n += 1;
        }
        n
    }];
    let block = const {
        let mut n = 0;
        while n < 4 {
            n += 1;
        }
        n
    };
    twice!(own(1).await) + TABLE[2] + ZERO + plain(3) + Local(Local::ONE).get().await
        + deep::deepest(5).await
        + array.len() as u32
        + block
}

#[cancellable]
mod outer {
    use taskscope::defer;

    pub(crate) async fn first() -> u32 {
        defer! { super::step(0).await; }
        middle::second().await + 1
    }

    pub(crate) mod middle {
        use taskscope::{cancellable, on_cancel};

        pub(crate) struct Thing;

        impl Thing {
            pub(crate) async fn third(&self) -> u32 {
                on_cancel! { super::super::step(0).await; }
                super::super::step(1).await
            }
        }

        #[cancellable(loops)]
        pub(crate) async fn second() -> u32 {
            for _ in 0..2 {
                assert!(!super::super::is_cancelled());
            }
            let thing: &dyn Named = &Thing;
            Thing.third().await + thing.name().len() as u32
        }

        pub(crate) trait Named {
            fn name(&self) -> String;
        }

        impl Named for Thing {
            fn name(&self) -> String {
                "thing".to_owned()
            }
        }
    }

    pub(crate) const fn constant() -> u32 {
        let mut n = 0;
        while n < 3 {
            n += 1;
        }
        n
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(inner().await, 2 + 2 + 3 + 1 + 5 + 2 + 4);
    assert_eq!(outer::first().await, 7);
    assert_eq!(outer::constant(), 3);
}
