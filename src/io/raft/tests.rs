//! openraft's own tests of a runtime, on a real core: those that can be called where the runtime runs already.

use super::*;
use crate::io::{Topology, start};
use openraft_rt::testing::Suite;

type Tests = Suite<RaftRuntime>;

fn on_a_core<F: Future<Output = ()> + 'static>(body: impl Fn() -> F + Send + Sync + Clone + 'static) {
    let topology = Topology { cores: 1, busy_poll: Duration::ZERO };
    start(&topology, move |io| io.enter(body())).unwrap().join().unwrap();
}

#[test]
fn tasks_timers_and_chance_are_as_openraft_wants_them() {
    on_a_core(|| async {
        Tests::test_spawn_join_handle().await;
        Tests::test_thread_rng().await;
        Tests::test_sleep().await;
        Tests::test_instant().await;
        Tests::test_sleep_until().await;
        Tests::test_timeout().await;
        Tests::test_timeout_at().await;
        Tests::test_instant_arithmetic().await;
        Tests::test_instant_sub_instant().await;
        Tests::test_instant_saturating_duration_since().await;
        Tests::test_instant_ord().await;
    });
}

#[test]
fn channels_are_as_openraft_wants_them() {
    on_a_core(|| async {
        Tests::test_mpsc_recv_empty().await;
        Tests::test_mpsc_recv_channel_closed().await;
        Tests::test_mpsc_weak_sender_wont_prevent_channel_close().await;
        Tests::test_mpsc_weak_sender_upgrade().await;
        Tests::test_mpsc_send().await;
        Tests::test_mpsc_send_to_closed_channel().await;
        Tests::test_mpsc_backpressure().await;
        Tests::test_oneshot_drop_tx().await;
        Tests::test_oneshot().await;
        Tests::test_oneshot_send_from_another_task().await;
        Tests::test_oneshot_send_to_dropped_rx().await;
        Tests::test_mutex().await;
        Tests::test_mutex_contention().await;
        Tests::test_mutex_lock_owned().await;
    });
}

#[test]
fn watched_values_are_as_openraft_wants_them() {
    on_a_core(|| async {
        Tests::test_watch_init_value().await;
        Tests::test_watch_overwrite_init_value().await;
        Tests::test_watch_send_error_no_receiver().await;
        Tests::test_watch_send_if_modified().await;
        Tests::test_watch_wait_until_ge().await;
        Tests::test_watch_wait_until().await;
        Tests::test_watch_changed_marks_as_seen().await;
        Tests::test_watch_borrow_and_update_marks_seen().await;
        Tests::test_watch_changed_returns_immediately_when_unseen().await;
        Tests::test_watch_multiple_borrow_then_changed().await;
        Tests::test_watch_wait_loop_pattern().await;
        Tests::test_watch_multiple_receivers().await;
        Tests::test_watch_subscribe().await;
        Tests::test_watch_send_if_different().await;
        Tests::test_watch_send_if_greater().await;
    });
}

/// Tasks of two cores that share a thread, each with its own clock at hand, and none afterwards.
#[cfg(feature = "sim")]
mod cores_that_share_a_thread {
    use super::*;
    use crate::io::sim::{HostId, Options, World};
    use std::cell::Cell;
    use std::rc::Rc;

    fn two_hosts() -> (World, [HostId; 2]) {
        let world = World::new(1, Options::default());
        let hosts = [world.add_host("a", 2), world.add_host("b", 2)];
        (world, hosts)
    }

    #[test]
    fn a_task_has_its_own_at_hand_and_nobody_afterwards() {
        let (world, hosts) = two_hosts();
        let ended = Rc::new(Cell::new(0));
        for io in [world.io(hosts[0], 1), world.io(hosts[1], 0)] {
            let (core, ended) = (io.core(), ended.clone());
            io.spawn(io.enter(async move {
                for _ in 0..5 {
                    assert_eq!(Io::current().core(), core);
                    RaftRuntime::sleep(Duration::from_millis(1)).await;
                    let inner = RaftRuntime::spawn(async { Io::current().core() }).await;
                    assert_eq!(inner, Ok(core));
                }
                ended.set(ended.get() + 1);
            }));
        }
        assert!(world.run_until(Duration::from_secs(1), || ended.get() == 2), "a task hangs");
        assert!(CURRENT.with(|current| current.borrow().is_none()));
    }

    #[test]
    #[should_panic(expected = "a task is polled on another core")]
    fn nobody_enters_the_core_of_another() {
        let (world, hosts) = two_hosts();
        let other = world.io(hosts[1], 0);
        world.run(hosts[0], |_| async move { other.enter(async {}).await });
    }

    #[test]
    #[should_panic(expected = "openraft is called inside Io::enter")]
    fn who_has_entered_none_has_none() {
        let (world, hosts) = two_hosts();
        world.run(hosts[0], |_| async { drop(RaftRuntime::sleep(Duration::from_millis(1))) });
    }
}
