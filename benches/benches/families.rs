//! The same contestants under criterion, to compare one state of the code with
//! another: `cargo bench -p taskscope-benches -- NAME`.

use std::time::Duration;

use criterion::Criterion;
use taskscope_benches::families;
use taskscope_benches::family::{Contestant, Family, Size, Unit};

/// A round here is shorter than in the table: criterion makes many.
const SIZE: Size = Size::SHORT;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for family in families(SIZE) {
        if family.unit == Unit::Nanoseconds {
            bench(&mut criterion, &family);
        }
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, family: &Family) {
    let Some(first) = family.peers.first() else {
        return;
    };
    let mut group = criterion.benchmark_group(first.row);
    let peers = family.peers.iter().map(|peer| &peer.contestant);
    for contestant in std::iter::once(&family.ours).chain(peers) {
        group.bench_function(contestant.name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| cost(contestant)).sum());
        });
    }
    group.finish();
}

fn cost(contestant: &Contestant) -> Duration {
    Duration::from_secs_f64(contestant.round() * 1e-9)
}
