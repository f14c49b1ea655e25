//! Abandoned carts are removed from time to time.

use taskscope::{BoxError, cancellable};
use tokio::time::MissedTickBehavior;

use crate::options::Carts;
use crate::store::Store;

/// Ends by being cancelled, between two rounds or with its transaction rolled back.
#[cancellable]
pub(crate) async fn expire(store: Store, carts: Carts) -> Result<(), BoxError> {
    let mut rounds = tokio::time::interval(carts.every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let expired = store.expire_carts(carts.age).await?;
        if expired > 0 {
            eprintln!("orders: {expired} abandoned carts removed");
        }
    }
}
