use std::sync::Arc;
use taskscope::{BoxError, Group, cancellable, shield, task_group};

#[cancellable]
async fn walk(g: Group<'static>, depth: u32) {
    if depth > 0 {
        g.spawn(walk(g.clone(), depth - 1));
    }
}

#[cancellable]
async fn in_a_block(g: Group<'static>, depth: u32) {
    let inner = g.clone();
    g.spawn_named("deeper", async move {
        Box::pin(in_a_block(inner, depth - 1)).await;
    });
}

#[cancellable]
async fn in_a_group(depth: u32) -> Result<(), BoxError> {
    task_group!(|g| {
        g.spawn_scoped(shield(in_a_group(depth - 1)));
        Ok(())
    })
    .await?;
    Ok(())
}

struct Tree;

impl Tree {
    #[cancellable]
    async fn visit(self: Arc<Self>, g: Group<'static>) {
        g.spawn(self.clone().visit(g.clone()));
    }
}

#[cancellable]
impl Tree {
    async fn grow(self: Arc<Self>, g: Group<'static>) {
        let this = Arc::clone(&self);
        g.spawn(Self::grow(self, g.clone()));
        g.spawn(this.grow(g.clone()));
    }
}

#[cancellable]
mod module {
    use taskscope::Group;

    pub(crate) async fn walk(g: Group<'static>) {
        g.service(walk(g.clone()));
    }
}

fn main() {
    drop((walk, in_a_block, in_a_group, Tree::visit, Tree::grow, module::walk));
}
