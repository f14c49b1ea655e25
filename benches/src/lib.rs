//! What structure costs: the same work by taskscope, by plain tokio and by other
//! crates, measured in one run, round by round in turn. See `README.md`.

pub mod allocations;
pub mod awaits;
pub mod boundaries;
pub mod cancel;
pub mod family;
pub mod instructions;
pub mod languages;
pub mod local;
pub mod observe;
pub mod plot;
pub mod programs;
pub mod report;
pub mod resources;
pub mod sizes;
pub mod tasks;

use family::{Family, Size};

/// All families, in the order of the table.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let mut families = awaits::families(size);
    families.extend(resources::families(size));
    families.extend(sizes::families());
    families.extend(tasks::families(size));
    families.extend(allocations::families(size));
    families.extend(cancel::families(size));
    families.extend(observe::families(size));
    families.extend(boundaries::families(size));
    families.extend(local::families(size));
    families.extend(languages::families(size));
    families.extend(programs::families(size));
    families
}
