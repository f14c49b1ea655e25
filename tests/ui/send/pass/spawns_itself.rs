#![deny(warnings)]
//! What looks like a function that spawns itself without `send`, and compiles.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use taskscope::{Group, LocalGroup, cancellable, task_group};

mod other {
    pub(crate) async fn walk() {}
}

#[cancellable]
async fn walk(g: Group<'static>) {
    async fn inner() {}
    {
        use self::other::walk;
        g.spawn(walk());
    }
    g.spawn(inner());
    g.spawn(other::walk());
}

#[cancellable]
async fn local(g: LocalGroup<'static>, depth: u32) {
    if depth > 0 {
        g.spawn_local(local(g.clone(), depth - 1));
    }
}

#[cancellable(send)]
async fn with_send(g: Group<'static>, depth: u32) {
    if depth > 0 {
        g.spawn(with_send(g.clone(), depth - 1));
    }
}

// Not an `async fn`, so its type says all.
fn boxed(g: Group<'static>, depth: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth > 0 {
            g.spawn(boxed(g.clone(), depth - 1));
        }
    })
}

struct Inner;
struct Outer(Arc<Inner>);

impl Inner {
    async fn visit(self: Arc<Self>) {}
}

#[cancellable]
impl Outer {
    async fn visit(&self, inner: Arc<Inner>, g: Group<'static>) {
        g.spawn(inner.visit());
        g.spawn(self.0.clone().visit());
    }
}

// A trait's method after the type's own.
trait Visit {
    fn visit(self: Arc<Self>, g: Group<'static>) -> impl Future<Output = ()>;
}

#[cancellable]
impl Visit for Inner {
    async fn visit(self: Arc<Self>, g: Group<'static>) {
        g.spawn(Inner::visit(self.clone()));
        g.spawn(self.visit());
    }
}

#[cancellable]
#[async_trait::async_trait]
trait Boxed: Send + Sync + 'static {
    async fn run(self: Arc<Self>, g: Group<'static>, depth: u32) {
        if depth > 0 {
            g.spawn(self.clone().run(g.clone(), depth - 1));
        }
    }
}

impl Boxed for Inner {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ended = task_group!(|g| {
        g.spawn(walk(g.clone()));
        g.spawn(with_send(g.clone(), 2));
        g.spawn(boxed(g.clone(), 2));
        g.spawn(Inner.into_arc().run(g.clone(), 2));
        Outer(Inner.into_arc()).visit(Inner.into_arc(), g.clone()).await;
        Visit::visit(Inner.into_arc(), g.clone()).await;
        Ok(())
    });
    ended.await.unwrap();
    let ended = task_group!(local, |g| {
        g.spawn_local(local(g.clone(), 2));
        Ok(())
    });
    ended.await.unwrap();
}

impl Inner {
    fn into_arc(self) -> Arc<Self> {
        Arc::new(self)
    }
}
