//! Clients and peers on a network that delays, reorders, loses and duplicates, in virtual time. Every
//! run is drawn from a seed, which a failure prints.

mod actor;
mod network;
mod world;

use self::world::World;

/// Runs a world and checks that everybody got through, that the network did its worst meanwhile, and
/// that nothing is left of it in the end.
fn run(workers: u8, clients: u16, seed: u64) {
    let mut world = World::new(workers, clients, seed);
    world.run();
    let faults = world.network.faults;
    assert!(faults.lost > 0, "seed {seed}: {faults:?}");
    assert!(faults.duplicated > 0, "seed {seed}: {faults:?}");
    assert!(faults.reordered > 0, "seed {seed}: {faults:?}");
    assert!(world.addresses_in_use > 0, "seed {seed}");
    world.assert_all_got_through();
    world.assert_nothing_is_left();
}

#[test]
fn one_worker_serves_clients_over_a_bad_network() {
    for seed in 0..8 {
        run(1, 12, seed);
    }
}

#[test]
fn two_workers_share_quotas_and_pass_on_reservations() {
    for seed in 100..108 {
        run(2, 12, seed);
    }
}

#[test]
fn a_seed_makes_the_same_run_again() {
    let trace = |seed| {
        let mut world = World::new(2, 6, seed);
        world.run();
        (world.network.faults, world.network.delivered)
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
