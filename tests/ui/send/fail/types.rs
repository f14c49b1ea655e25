use std::rc::Rc;
use taskscope::cancellable;

async fn step() {}

#[cancellable(send)]
async fn holds_rc() -> usize {
    let shared = Rc::new(1);
    step().await;
    *shared
}

#[cancellable(send)]
async fn takes_rc(shared: Rc<u32>) {
    step().await;
    drop(shared);
}

#[cancellable(send)]
async fn no_tail() -> Result<(), std::io::Error> {
    step().await;
}

#[cancellable(send)]
async fn wrong_tail(text: &str) -> u32 {
    step().await;
    text.to_owned()
}

#[cancellable(send)]
async fn wrong_return(n: u32) -> Result<u32, std::io::Error> {
    if n == 0 {
        return n;
    }
    n.to_string().parse::<u32>()?;
    Ok(n)
}

#[cancellable(send)]
async fn unused(mut first: u32, second: u32) {
    step().await;
}

#[cancellable(send)]
trait Trait {
    async fn f(&self) -> u32;
    async fn needs_sync(&self) -> u32 {
        self.f().await
    }
}

struct Local(Rc<u32>);

#[cancellable(send)]
impl Trait for Local {
    async fn f(&self) -> u32 {
        step().await;
        *self.0
    }
}

fn main() {
    drop(holds_rc());
    drop(takes_rc(Rc::new(1)));
    drop(no_tail());
    drop(wrong_tail(""));
    drop(wrong_return(1));
    drop(unused(1, 2));
}
