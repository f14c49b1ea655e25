#![deny(warnings)]

use taskscope::cancellable;

mod sql {
    macro_rules! select {
        ($($column:ident),* from $table:ident) => { $table };
    }
    pub(crate) use select;
}

mod channel {
    macro_rules! select {
        ($(recv($channel:expr) -> $message:ident => $handler:expr),* $(,)?) => {
            0 $(+ { let $message = $channel; $handler })*
        };
    }
    pub(crate) use select;
}

mod tuples {
    macro_rules! try_join {
        ($($future:expr),*) => { ($($future),*) };
    }
    pub(crate) use try_join;
}

// Not the branches of tokio's and futures' macros.
#[cancellable]
async fn bare(users: u32) -> u32 {
    let mut sum = {
        use sql::select;
        select!(name, age from users)
    };
    use channel::select;
    let last = select! {
        recv(users) -> message => { sum = sum + message; message },
    };
    sum + last
}

#[cancellable]
async fn by_path(users: u32) -> u32 {
    let (a, b) = tuples::try_join!(1, 2);
    a + b + crate::sql::select!(name from users) + self::channel::select! { recv(1) -> n => n }
}

// With such branches, but declared where the macro sees it.
#[cancellable]
async fn declared_inside() -> u32 {
    macro_rules! select {
        ($name:ident = $value:expr => $handler:expr) => {{
            let $name = $value;
            $handler
        }};
    }
    select! { n = 1 => n + 1 }
}

fn main() {
    drop(bare(1));
    drop(by_path(1));
    drop(declared_inside());
}
