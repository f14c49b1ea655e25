use taskscope::cancellable;

macro_rules! race {
    ($value:ident = $future:expr => $handler:expr) => {{
        let $value = $future;
        $handler
    }};
}

// With the branches of ours, where nothing says whose it is.
#[cancellable]
async fn of_the_crate() -> u32 {
    race! { n = 1 => n + 1 }
}

mod missing {
    #[taskscope::cancellable]
    pub(crate) async fn not_imported() {
        race! { _ = std::future::ready(1) => {} }
    }
}

fn main() {}
