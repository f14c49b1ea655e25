use taskscope::cancellable;

#[cancellable(send)]
fn plain() {}

#[cancellable(send, blocking)]
fn blocking() -> std::io::Result<()> {
    Ok(())
}

#[cancellable(send)]
#[async_trait::async_trait]
trait Boxed {
    async fn f(&self);
}

#[cancellable(send)]
struct Struct;

fn main() {}
