//! A scope that has nothing inside but awaits allocates nothing.

use std::time::Duration;

use taskscope::{Scope, join, race, timeout, try_join};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::counting::{allocations, alone};

const HOUR: Duration = Duration::from_secs(3600);

async fn number() -> Result<u32, ()> {
    yield_now().await;
    Ok(1)
}

async fn all() {
    timeout(HOUR, number()).await.unwrap().unwrap();
    timeout(HOUR, timeout(HOUR, number()))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    Scope::new().run(number()).await.unwrap().unwrap();
    let (first, second) = join!(number(), timeout(HOUR, number()));
    assert_eq!(first, second.unwrap());
    try_join!(number(), number()).unwrap();
    race! {
        number = number() => number.unwrap(),
        () = sleep(HOUR) => unreachable!("it takes longer"),
    };
}

#[test]
fn it_allocates_nothing() {
    let _alone = alone();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.spawn(async {
        let counts = Scope::new().run(async {
            // What is made once.
            all().await;
            let before = allocations();
            all().await;
            let allocated = allocations() - before;
            // Control: a handle needs a node.
            let named = Scope::new().name("named");
            named.run(number()).await.unwrap().unwrap();
            (allocated, allocations() - before)
        });
        counts.await.unwrap()
    });
    let (lazy, with_a_name) = runtime.block_on(run).unwrap();
    assert_eq!(lazy, 0);
    assert!(with_a_name > 0);
}
