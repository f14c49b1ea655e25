use std::future::ready;
use taskscope::{join, try_join};

fn plain() {
    join!(ready(1), ready(2));
}

async fn closure() {
    let both = || try_join!(ready(Ok::<_, ()>(1)), ready(Ok(2)));
    drop(both());
}

fn main() {}
