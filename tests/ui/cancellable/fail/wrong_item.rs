use taskscope::cancellable;

#[cancellable]
fn plain() {}

#[cancellable]
const fn constant() -> u32 {
    1
}

#[cancellable]
struct Struct;

#[cancellable]
pub enum Enum {}

#[cancellable]
const VALUE: u32 = 1;

#[cancellable]
static STATIC: u32 = 1;

#[cancellable]
type Alias = u32;

#[cancellable]
use std::future::Future;

trait Trait {
    #[cancellable]
    async fn without_body(&self);
}

// What is wrong with the attribute is no reason to miss the item.
fn main() {
    plain();
    let _ = (Struct, constant() + VALUE + STATIC, None::<Alias>, None::<Enum>);
}
