use taskscope::{BoxError, cancellable, defer};

#[cancellable(blocking)]
async fn is_async() -> Result<(), BoxError> {
    Ok(())
}

#[cancellable(blocking)]
fn no_type() {
    loop {}
}

#[cancellable(blocking)]
fn number(n: u64) -> u64 {
    (0..n).sum()
}

#[cancellable(blocking)]
fn maybe(n: u64) -> Option<u64> {
    (0..n).max()
}

#[cancellable(blocking)]
fn opaque(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[cancellable(blocking)]
const fn constant() -> Result<(), BoxError> {
    Ok(())
}

#[cancellable(blocking)]
struct Table;

#[cancellable]
fn without_option() -> Result<(), BoxError> {
    loop {}
}

#[cancellable(bloking, blocking = true)]
fn options() -> Result<(), BoxError> {
    Ok(())
}

#[cancellable(blocking)]
fn guards() -> Result<(), BoxError> {
    defer! { drop(Table); }
    Ok(())
}

#[cancellable(blocking)]
fn closure(rows: &[u64]) -> Result<u64, BoxError> {
    let sum = || {
        let mut sum = 0;
        #[checkpoint]
        for row in rows {
            sum += row;
        }
        sum
    };
    Ok(sum())
}

fn main() {}
