use futures::future::ready;
use taskscope::cancellable;

#[cancellable]
async fn by_path() -> u32 {
    let (mut one, mut two) = (ready(1), ready(2));
    futures::select! {
        n = one => n,
        n = two => n,
    }
}

#[cancellable]
async fn in_order() -> u32 {
    use futures::select_biased;

    let (mut one, mut two) = (ready(1), ready(2));
    select_biased! {
        n = one => n,
        n = two => n,
        complete => 3,
    }
}

fn main() {}
