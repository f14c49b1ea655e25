//! Abandoned carts are removed from time to time.

use taskscope::cancellable;
use tokio::time::MissedTickBehavior;

use crate::options::Carts;
use crate::store::Store;

/// Ends by being cancelled, between two rounds or with its transaction rolled back. A round that fails is
/// repeated at the next tick: it is no reason to end the service.
#[cancellable]
pub(crate) async fn expire(store: Store, carts: Carts) -> ! {
    let mut rounds = tokio::time::interval(carts.every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        match store.expire_carts(carts.age).await {
            Ok(0) => {}
            Ok(expired) => eprintln!("orders: {expired} abandoned carts removed"),
            Err(error) => eprintln!("orders: cannot remove abandoned carts: {error}"),
        }
    }
}
