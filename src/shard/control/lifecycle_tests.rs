//! Each test tells a life as a list of what happens when, and what is to be done then.

use super::*;

const TIMING: Timing = Timing {
    heartbeat_interval_ms: 2_000,
    session_timeout_ms: 9_000,
    registration_timeout_ms: 60_000,
    shutdown_limit_ms: 300_000,
    dir_failure_timeout_ms: 30_000,
};

const CAUGHT_UP: Heard = Heard { is_caught_up: true, is_fenced: true, should_shut_down: false };
const UNFENCED: Heard = Heard { is_caught_up: true, is_fenced: false, should_shut_down: false };
const MAY_GO: Heard = Heard { is_caught_up: true, is_fenced: true, should_shut_down: true };

fn at(machine: &mut Lifecycle, now_ms: u64, input: Input) -> Vec<Effect> {
    let mut effects = vec![];
    machine.on_input(input, now_ms, &mut effects);
    effects
}

fn heartbeat(epoch: i64, want_fence: bool, want_shut_down: bool) -> Effect {
    Effect::Heartbeat { epoch, want_fence, want_shut_down, offline_log_dirs: vec![] }
}

/// A broker of epoch 7 that runs since 1,030 ms; its next heartbeat is due at 3,030 ms.
fn running() -> Lifecycle {
    let mut machine = Lifecycle::new(TIMING, 3, 1_000);
    assert_eq!(at(&mut machine, 1_000, Input::Tick), [Effect::Register { previous_epoch: 3 }]);
    assert_eq!(at(&mut machine, 1_010, Input::Registered(Ok(7))), [heartbeat(7, true, false)]);
    assert_eq!(at(&mut machine, 1_015, Input::Heard(Ok(CAUGHT_UP))), []);
    assert_eq!(machine.phase(), Phase::Recovery);
    assert_eq!(at(&mut machine, 1_020, Input::Loaded), [heartbeat(7, false, false)]);
    assert_eq!(at(&mut machine, 1_030, Input::Heard(Ok(UNFENCED))), []);
    assert_eq!((machine.phase(), machine.next_ms()), (Phase::Running, 3_030));
    machine
}

#[test]
fn a_broker_registers_catches_up_loads_and_runs() {
    let mut machine = running();
    assert_eq!(at(&mut machine, 3_029, Input::Tick), []);
    assert_eq!(at(&mut machine, 3_030, Input::Tick), [heartbeat(7, false, false)]);
    // One request at a time, however late its answer is.
    assert_eq!(at(&mut machine, 9_000, Input::Tick), []);
    assert_eq!(at(&mut machine, 9_001, Input::Heard(Ok(UNFENCED))), []);
    assert_eq!(machine.next_ms(), 11_001);
}

#[test]
fn who_catches_up_asks_every_10_ms() {
    let mut machine = Lifecycle::new(TIMING, -1, 0);
    at(&mut machine, 0, Input::Tick);
    at(&mut machine, 5, Input::Registered(Ok(4)));
    let behind = Heard { is_caught_up: false, is_fenced: true, should_shut_down: false };
    assert_eq!(at(&mut machine, 6, Input::Heard(Ok(behind))), []);
    assert_eq!((machine.phase(), machine.next_ms()), (Phase::Starting, 16));
    assert_eq!(at(&mut machine, 16, Input::Tick), [heartbeat(4, true, false)]);
    at(&mut machine, 17, Input::Heard(Ok(CAUGHT_UP)));
    assert_eq!((machine.phase(), machine.next_ms()), (Phase::Recovery, 27));
}

#[test]
fn failures_are_repeated_ever_more_seldom_and_a_start_gives_up_in_the_end() {
    let mut machine = Lifecycle::new(TIMING, -1, 0);
    let (mut now, mut waits) = (0, vec![]);
    at(&mut machine, now, Input::Tick);
    for _ in 0..9 {
        assert_eq!(at(&mut machine, now, Input::Registered(Err(ErrorCode::DuplicateBrokerRegistration))), []);
        waits.push(machine.next_ms() - now);
        now = machine.next_ms();
        assert_eq!(at(&mut machine, now, Input::Tick), [Effect::Register { previous_epoch: -1 }]);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 9_000, 9_000]);
    // While it asks, the clock is still looked at.
    assert_eq!(machine.next_ms(), 60_000);
    let effects = at(&mut machine, 60_000, Input::Tick);
    assert!(matches!(&effects[..], [Effect::GiveUp(why)] if why.contains("60000 ms")), "{effects:?}");
    assert_eq!((machine.next_ms(), at(&mut machine, 70_000, Input::Tick)), (u64::MAX, vec![]));
}

#[test]
fn once_registered_it_never_gives_up_the_controller() {
    let mut machine = running();
    for now in (10_000..1_000_000).step_by(10_000) {
        assert_eq!(at(&mut machine, now, Input::Tick), [heartbeat(7, false, false)]);
        assert_eq!(at(&mut machine, now, Input::Heard(Err(ErrorCode::NetworkException))), []);
    }
    assert_eq!(machine.phase(), Phase::Running);
}

#[test]
fn a_broker_that_the_controller_does_not_know_registers_anew_with_its_epoch() {
    for error in [ErrorCode::StaleBrokerEpoch, ErrorCode::BrokerIdNotRegistered] {
        let mut machine = running();
        at(&mut machine, 3_030, Input::Tick);
        assert_eq!(at(&mut machine, 3_040, Input::Heard(Err(error))), []);
        assert_eq!(at(&mut machine, 3_140, Input::Tick), [Effect::Register { previous_epoch: 7 }]);
        // Its logs are open all the time: it does not want to stay fenced.
        assert_eq!(at(&mut machine, 3_150, Input::Registered(Ok(90))), [heartbeat(90, false, false)]);
        assert_eq!((machine.phase(), at(&mut machine, 3_160, Input::Heard(Ok(CAUGHT_UP)))), (Phase::Running, vec![]));
    }
}

#[test]
fn what_is_new_during_a_heartbeat_is_told_by_the_next_one_at_once() {
    let mut machine = Lifecycle::new(TIMING, -1, 0);
    at(&mut machine, 0, Input::Tick);
    at(&mut machine, 1, Input::Registered(Ok(4)));
    at(&mut machine, 2, Input::Heard(Ok(CAUGHT_UP)));
    at(&mut machine, 12, Input::Tick);
    assert_eq!(at(&mut machine, 13, Input::Loaded), []);
    assert_eq!(at(&mut machine, 14, Input::Heard(Ok(CAUGHT_UP))), [heartbeat(4, false, false)]);
}

#[test]
fn a_controlled_shutdown_waits_for_the_controllers_word() {
    let mut machine = running();
    assert_eq!(at(&mut machine, 2_000, Input::ShutDown), [heartbeat(7, false, true)]);
    assert_eq!(at(&mut machine, 2_001, Input::ShutDown), []);
    assert_eq!(at(&mut machine, 2_010, Input::Heard(Ok(UNFENCED))), []);
    assert_eq!(machine.next_ms(), 2_060);
    assert_eq!(at(&mut machine, 2_060, Input::Tick), [heartbeat(7, false, true)]);
    assert_eq!(at(&mut machine, 2_070, Input::Heard(Ok(UNFENCED))), []);
    assert_eq!(machine.next_ms(), 4_070);
    assert_eq!(at(&mut machine, 4_070, Input::Tick), [heartbeat(7, false, true)]);
    assert_eq!(at(&mut machine, 4_080, Input::Heard(Ok(MAY_GO))), []);
    assert_eq!((machine.phase(), machine.next_ms()), (Phase::ShuttingDown, u64::MAX));
}

#[test]
fn a_controlled_shutdown_ends_without_a_controller_and_in_any_case_in_time() {
    let mut machine = running();
    at(&mut machine, 2_000, Input::ShutDown);
    at(&mut machine, 2_100, Input::Heard(Err(ErrorCode::NetworkException)));
    assert_eq!(at(&mut machine, 10_999, Input::Tick), [heartbeat(7, false, true)]);
    assert_eq!((machine.next_ms(), machine.phase()), (11_000, Phase::ControlledShutdown));
    assert_eq!(at(&mut machine, 11_000, Input::Tick), []);
    assert_eq!(machine.phase(), Phase::ShuttingDown);

    let mut machine = running();
    at(&mut machine, 2_000, Input::ShutDown);
    let mut now = 2_000;
    while machine.phase() == Phase::ControlledShutdown {
        at(&mut machine, now, Input::Heard(Ok(UNFENCED)));
        now = machine.next_ms();
        at(&mut machine, now, Input::Tick);
    }
    assert_eq!(now, 302_000);
}

#[test]
fn who_does_not_lead_yet_or_is_not_known_any_more_goes_at_once() {
    let mut machine = Lifecycle::new(TIMING, -1, 0);
    at(&mut machine, 0, Input::Tick);
    assert_eq!(at(&mut machine, 1, Input::ShutDown), []);
    assert_eq!(machine.phase(), Phase::ShuttingDown);
    assert_eq!(at(&mut machine, 2, Input::Registered(Ok(4))), []);

    let mut machine = running();
    at(&mut machine, 2_000, Input::ShutDown);
    assert_eq!(at(&mut machine, 2_010, Input::Heard(Err(ErrorCode::StaleBrokerEpoch))), []);
    assert_eq!(machine.phase(), Phase::ShuttingDown);
}

#[test]
fn a_failed_log_dir_is_told_until_the_controller_knows_or_the_broker_ends() {
    let dir = TopicId([9; 16]);
    let telling = Effect::Heartbeat { epoch: 7, want_fence: false, want_shut_down: false, offline_log_dirs: vec![dir] };
    let mut machine = running();
    assert_eq!(at(&mut machine, 2_000, Input::DirFailed(dir)), [telling.clone()]);
    assert_eq!(at(&mut machine, 2_010, Input::Heard(Ok(UNFENCED))), []);
    // It is told in each, and no clock runs any more.
    assert_eq!(machine.next_ms(), 4_010);
    assert_eq!(at(&mut machine, 4_010, Input::Tick), [telling.clone()]);

    let mut machine = running();
    at(&mut machine, 2_000, Input::DirFailed(dir));
    at(&mut machine, 31_000, Input::Heard(Err(ErrorCode::NetworkException)));
    assert_eq!(at(&mut machine, 31_100, Input::Tick), [telling]);
    assert_eq!(machine.next_ms(), 32_000);
    assert!(matches!(&at(&mut machine, 32_000, Input::Tick)[..], [Effect::GiveUp(_)]));
}

#[test]
fn whom_the_controller_may_miss_is_heard_of_at_once() {
    let mut machine = running();
    assert_eq!(at(&mut machine, 1_500, Input::Unheard), [heartbeat(7, false, false)]);
    // What is under way is as good.
    assert_eq!(at(&mut machine, 1_510, Input::Unheard), []);
    assert_eq!(at(&mut machine, 1_520, Input::Heard(Ok(UNFENCED))), []);
    assert_eq!(machine.next_ms(), 3_520);
}
