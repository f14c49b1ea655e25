//! The guide: each page is short, and its code is run as a test.
//!
//! Begin with the [`tour`]; with [`from_asyncio`] if you come from Python, trio or Go; or with
//! [`migrating`] if you have a program on tokio.
//!
//! | page | what it is about |
//! | --- | --- |
//! | [`tour`] | everything once, in fifteen minutes; at the end, [what an editor needs](tour#in-an-editor) |
//! | [`cancellation`] | what happens, step by step |
//! | [`cleanup`] | `defer!`, `on_cancel!`, `shield`, the grace period |
//! | [`groups`] | tasks, their errors, limits, services |
//! | [`shutdown`] | how a process ends |
//! | [`servers`] | axum, hyper and tonic: requests, event streams, websockets |
//! | [`observability`] | what runs, what went wrong, spans and events |
//! | [`testing`] | how to test that cancelling is safe |
//! | [`cancel_safety`] | what can still go wrong, and how to see it |
//! | [`libraries`] | what libraries do differently, and clients with background tasks |
//! | [`compile_errors`] | if the compiler says … |
//! | [`migrating`] | from tokio and tokio-util, step by step |
//! | [`from_asyncio`] | idioms of asyncio, trio and Go |
//! | [`design`] | why it is so, and its limits |

#[doc = include_str!("tour.md")]
pub mod tour {}

#[doc = include_str!("cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("cleanup.md")]
pub mod cleanup {}

#[doc = include_str!("groups.md")]
pub mod groups {}

// Without the feature, these pages only say so: links to them are valid either way.
#[cfg_attr(feature = "shutdown", doc = include_str!("shutdown.md"))]
#[cfg_attr(not(feature = "shutdown"), doc = "This page needs feature `shutdown`.")]
pub mod shutdown {}

#[cfg_attr(feature = "tower", doc = include_str!("servers.md"))]
#[cfg_attr(not(feature = "tower"), doc = "This page needs feature `tower`.")]
pub mod servers {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("cancel_safety.md")]
pub mod cancel_safety {}

#[doc = include_str!("libraries.md")]
pub mod libraries {}

#[doc = include_str!("compile_errors.md")]
pub mod compile_errors {}

#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[doc = include_str!("from_asyncio.md")]
pub mod from_asyncio {}

#[doc = include_str!("design.md")]
pub mod design {}
