//! What becomes of a log when its leader goes.

use super::{Known, ONE, Script, Write, safe};
use crate::history::Shared;
use crate::nemesis::Kind;
use crate::seed::Stage;
use flumen::io::sim::NetOptions;
use std::time::Duration;

/// A leader is elected that its only follower in sync cannot reach, is written to, and goes as well. What was acked before is in the
/// follower's log, above the high watermark that it knows; what the second leader was given nobody else has.
pub const UNHEARD: Script = Script { name: "a leader that nobody has heard", durable: false, play: unheard };

/// A leader is cut off from all other nodes and goes on writing for whoever is content with that; then it comes back.
pub const APART: Script = Script { name: "two logs of one partition", durable: false, play: apart };

/// A new leader does not know yet how far its predecessor had committed. Somebody who was away fetches from it, has all that the new
/// leader knows to be committed and not all that is, and gets the rest too slowly.
pub const BEHIND_THE_EPOCH: Script = Script { name: "behind the leader's epoch", durable: false, play: behind_the_epoch };

/// Somebody who was away comes back over a slow line, and the others go before it has everything.
pub const LAGGING: Script = Script { name: "a follower that lags", durable: false, play: lagging };

fn unheard(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    stage.part(others[0], others[1]);
    for _ in 0..5 {
        stage.write_to_all(history, &tp, first, ONE);
    }
    stage.kill(first);
    let second = stage.await_another(others[0], &tp, first);
    let second = second.leader;
    let third = others.iter().copied().find(|id| *id != second).expect("there are two");
    stage.write(history, &tp, second, Write { timeout_ms: 800, ..ONE });
    stage.kill(second);
    stage.join_again(others[0], others[1]);
    stage.await_known(third, &tp, "led by who is left", move |known| known.leader == third);
}

fn apart(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let cut: Vec<i32> = stage.ids(|node| node.id != first);
    stage.write_to_all(history, &tp, first, ONE);
    cut.iter().for_each(|other| stage.part(first, *other));
    // Promised to nobody.
    stage.write_to_all(history, &tp, first, Write { acks: 1, ..ONE });
    let second = stage.await_another(others[0], &tp, first);
    stage.write_to_all(history, &tp, second.leader, ONE);
    cut.iter().for_each(|other| stage.join_again(first, *other));
}

/// Their way takes seconds at [`SLOW`] bytes a second, a fetch and a proposal none.
const LARGE: Write = Write { count: 12, bytes: 30_000, ..ONE };
const SLOW: u64 = 60_000;

fn behind_the_epoch(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let (second, third) = (others[0], others[1]);
    stage.write_to_all(history, &tp, first, ONE);
    // Whoever follows learns the high watermark of now.
    stage.world.run_for(Duration::from_secs(1));
    stage.kill(third);
    stage.await_known(first, &tp, "without who was killed", move |known| !known.isr.contains(&third));
    stage.write_to_all(history, &tp, first, LARGE);
    stage.kill(first);
    stage.await_known(second, &tp, "led by the next", move |known| known.leader == second);
    stage.note(Kind::SlowLinks);
    stage.world.set_options(|options| options.net.bandwidth = SLOW);
    stage.start_node(third);
    let joined = move |known: &Known| known.isr.contains(&third);
    stage.see(second, &tp, Duration::from_secs(5), joined);
    stage.kill(second);
    stage.see(third, &tp, Duration::from_secs(4), move |known| known.leader == third);
    stage.world.set_options(|options| options.net.bandwidth = NetOptions::default().bandwidth);
}

fn lagging(stage: &mut Stage, history: &Shared) {
    let tp = safe();
    let (first, others) = stage.cast(&tp);
    let (second, third) = (others[0], others[1]);
    stage.write_to_all(history, &tp, first, ONE);
    stage.kill(third);
    stage.await_known(first, &tp, "without who was killed", move |known| !known.isr.contains(&third));
    stage.write_to_all(history, &tp, first, LARGE);
    stage.note(Kind::SlowLinks);
    stage.world.set_options(|options| options.net.bandwidth = SLOW);
    stage.start_node(third);
    stage.see(second, &tp, Duration::from_secs(3), move |known| known.isr.contains(&third));
    stage.kill(first);
    stage.kill(second);
    stage.see(third, &tp, Duration::from_secs(4), move |known| known.leader == third);
    stage.world.set_options(|options| options.net.bandwidth = NetOptions::default().bandwidth);
}
