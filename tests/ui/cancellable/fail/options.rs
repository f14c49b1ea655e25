use taskscope::cancellable;

#[cancellable(loop)]
async fn near() {}

#[cancellable(quiet)]
async fn far() {}

#[cancellable(loops, loops)]
async fn twice() {}

#[cancellable(allow(detach, blocking, blocking))]
async fn in_allow() {}

#[cancellable(alow(detached), lops)]
async fn several() {}

#[cancellable(allow)]
async fn without_list() {}

#[cancellable(crate = "text")]
async fn crate_is_text() {}

#[cancellable(crate)]
async fn crate_is_missing() {}

#[cancellable("loops")]
async fn quoted() {}

#[cancellable(loops send)]
async fn no_comma() {}

#[cancellable(loops(all), allow())]
async fn lists() {}

#[cancellable(hard_drop)]
async fn a_check() {}

#[cancellable]
#[cancellable]
async fn attribute_twice() {}

fn main() {
    drop((near(), far(), twice(), in_allow(), several(), without_list(), crate_is_text()));
    drop(attribute_twice());
}
