//! The smaller fault matrix, which every change must pass: one of each kind, in a minute or two. [`faults`](crate::faults) has the whole.

use crate::nodes::Layout;
use crate::scene::{Fault, How, Scene, Way, Who};

#[test]
fn one_fault_of_each_kind() {
    let faults = [
        Fault::Stop(Who::Leader, How::Hard),
        Fault::Bounce(Who::Controller, How::Clean),
        Fault::Pause(Who::Controller),
        Fault::Partition(Who::Leader, Way::Both),
        Fault::Partition(Who::Controller, Way::Out),
        Fault::TwoDown,
        Fault::AllKilled,
    ];
    Scene::play("short", &Layout::THREE, faults);
}
