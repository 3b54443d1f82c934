use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn partition(index: i32, replicas: &[i32], written: u64, size: u64) -> Partition {
    let (replicas, isr) = (replicas.to_vec(), replicas.to_vec());
    let leader = replicas[0];
    Partition { topic: "t".to_owned(), index, replicas, isr, leader, is_fixed: false, written, size }
}

fn cluster(brokers: &[(i32, Option<&str>)], partitions: Vec<Partition>) -> Cluster {
    let brokers = brokers.iter().map(|(id, rack)| (*id, rack.map(str::to_owned))).collect();
    Cluster { brokers, partitions }
}

fn brokers(ids: std::ops::RangeInclusive<i32>) -> Vec<(i32, Option<&'static str>)> {
    ids.map(|id| (id, None)).collect()
}

/// The cluster after the first steps of a plan.
fn after(cluster: &Cluster, steps: &[Step]) -> Cluster {
    let mut cluster = cluster.clone();
    for step in steps {
        let mut all = cluster.partitions.iter_mut();
        let partition = all.find(|partition| partition.name() == step.name()).expect("a partition of the cluster");
        assert_eq!(partition.replicas, step.from);
        (partition.replicas, partition.isr, partition.leader) = (step.to.clone(), step.to.clone(), step.to[0]);
    }
    cluster
}

fn loads(cluster: &Cluster) -> BTreeMap<i32, Load> {
    Planning::new(cluster, 0).loads
}

fn highest(cluster: &Cluster) -> u64 {
    loads(cluster).values().map(|load| load.bytes).max().unwrap_or(0)
}

fn spread_of(cluster: &Cluster, count: impl Fn(&Load) -> u64) -> u64 {
    let counts: Vec<u64> = loads(cluster).values().map(count).collect();
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

#[test]
fn leaders_move_before_replicas_and_say_why() {
    let all = (0..6).map(|index| partition(index, &[1, 2, 3], 10 * MIB, 1 << 40)).collect();
    let cluster = cluster(&brokers(1..=3), all);
    let plan = plan(&cluster, false, 100);
    assert!(plan.steps.iter().all(|step| step.copies == 0), "{:?}", plan.steps);
    assert_eq!(plan.before[&1], Load { bytes: 180 * MIB, replicas: 6, led: 6, size: 6 << 40 });
    assert!(plan.after.values().all(|load| load.bytes == 100 * MIB && load.led == 2), "{:?}", plan.after);
    let said = plan.steps[0].to_string();
    assert!(said.starts_with("t-") && said.contains(": [1, 2, 3] becomes [") && said.ends_with("nothing is copied"), "{said}");
    assert!(
        said.contains(
            "10.0 MiB are written to it in a second; broker 1 has 180.0 MiB to do, 180 % of the mean, and gets 160.0 MiB"
        )
    );
    assert_eq!(after(&cluster, &plan.steps).partitions.len(), 6);
}

#[test]
fn a_new_broker_gets_its_share_of_load_and_number() {
    let all = (0..12).map(|index| partition(index, &[1 + index % 3, 1 + (index + 1) % 3], MIB, 100 * MIB)).collect();
    let cluster = cluster(&brokers(1..=4), all);
    let plan = plan(&cluster, false, 100);
    let fourth = plan.after[&4];
    assert!((5..=7).contains(&fourth.replicas), "{:?}", plan.after);
    assert!(fourth.bytes <= 10 * MIB && fourth.bytes >= 8 * MIB, "{:?}", plan.after);
    assert!(plan.steps.iter().all(|step| step.to.contains(&4) || step.copies == 0), "what is copied goes to the new one");
}

#[test]
fn what_does_not_pay_is_left() {
    // 1 TiB for 100 KiB/s would take four months to pay.
    let all = vec![partition(0, &[1], 100 << 10, 1 << 40), partition(1, &[1], 100 << 10, 1 << 40), partition(2, &[2], 0, 0)];
    let cluster = cluster(&brokers(1..=2), all);
    assert_eq!(plan(&cluster, false, 100).steps, []);
    // The same for 100 MiB.
    let mut small = cluster;
    small.partitions[1].size = 100 * MIB;
    let steps = plan(&small, false, 100).steps;
    assert_eq!(steps.iter().map(Step::name).collect::<Vec<_>>(), ["t-1"]);
    assert!(steps[0].to_string().ends_with("100.0 MiB are copied"), "{}", steps[0]);
}

#[test]
fn what_is_not_healthy_is_left_and_preferred_leaders_come_back() {
    let mut all: Vec<Partition> = (0..4).map(|index| partition(index, &[1, 2], MIB, 0)).collect();
    all[0].isr = vec![1];
    all[1].is_fixed = true;
    all[2].replicas = vec![1, 9];
    all[3].leader = 2;
    let cluster = cluster(&brokers(1..=2), all);
    let steps = plan(&cluster, true, 100).steps;
    // The load could not be lowered but by moving the fourth, which is then not given back.
    assert_eq!(steps.iter().map(Step::name).collect::<Vec<_>>(), ["t-3"]);
    assert_eq!(steps[0].to, [2, 1]);
    let mut idle = cluster;
    idle.partitions.iter_mut().for_each(|partition| partition.written = 0);
    idle.partitions.truncate(4);
    idle.partitions.push(partition(4, &[2, 1], 0, 0));
    idle.partitions.push(partition(5, &[2, 1], 0, 0));
    idle.partitions.push(partition(6, &[2, 1], 0, 0));
    let steps = plan(&idle, true, 100).steps;
    assert_eq!(steps.iter().map(Step::name).collect::<Vec<_>>(), ["t-3"]);
    assert_eq!(
        steps[0].to_string(),
        "t-3: 1 leads [1, 2] again; it is the preferred leader and in sync, and 2 leads; nothing is copied"
    );
}

#[test]
fn racks_keep_their_replicas() {
    let racks = [(1, Some("a")), (2, Some("b")), (3, Some("a"))];
    let all = (0..6).map(|index| partition(index, &[1, 2], 10 * MIB, MIB)).collect();
    let cluster = cluster(&racks, all);
    for step in plan(&cluster, false, 100).steps {
        assert!(step.to.contains(&2), "{step}");
    }
}

#[test]
fn bytes_are_read_by_people() {
    let said = [0, 1023, 1024, 1536, 5 << 30, 3 << 50].map(|bytes| Bytes(bytes).to_string());
    assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB", "3072.0 TiB"]);
}

prop_compose! {
    /// Up to 7 brokers in up to 3 racks, or without; up to 40 partitions, most of them with little to do, some not healthy.
    fn clusters()(
        count in 1_i32..8,
        racks in 0_i32..4,
        all in prop::collection::vec((0_i32..8, 1_i32..4, 0_u32..24, 0_u64..(1 << 36), 0_u8..10), 0..40),
    ) -> Cluster {
        let rack = |id: i32| (racks > 0).then(|| format!("r{}", id % racks));
        let brokers = (0..count).map(|id| (id, rack(id))).collect();
        let one = |(index, (first, factor, scale, size, health)): (usize, (i32, i32, u32, u64, u8))| {
            let replicas: Vec<i32> = (0..factor.min(count)).map(|step| (first + step) % count).collect();
            let mut partition = partition(index as i32, &replicas, (1 << scale) - 1, size);
            match health {
                0 => partition.is_fixed = true,
                1 => partition.isr.truncate(1),
                2 => partition.leader = *replicas.last().unwrap(),
                _ => {}
            }
            partition
        };
        Cluster { brokers, partitions: all.into_iter().enumerate().map(one).collect() }
    }
}

proptest! {
    #[test]
    fn every_step_keeps_what_there_is(cluster in clusters(), leaders_only: bool) {
        let plan = plan(&cluster, leaders_only, 1_000);
        let changed = after(&cluster, &plan.steps);
        for (before, now) in cluster.partitions.iter().zip(&changed.partitions) {
            prop_assert_eq!(before.replicas.len(), now.replicas.len());
            let distinct: BTreeSet<i32> = now.replicas.iter().copied().collect();
            prop_assert_eq!(distinct.len(), now.replicas.len());
            prop_assert!(now.replicas.iter().all(|replica| cluster.brokers.contains_key(replica)));
            let kept = before.replicas.iter().filter(|replica| now.replicas.contains(replica)).count();
            prop_assert!(kept + 1 >= before.replicas.len(), "one replica at a time");
            prop_assert!(!leaders_only || kept == before.replicas.len());
            prop_assert!(before.replicas == now.replicas || (!before.is_fixed && before.isr.len() == before.replicas.len()));
            let racks = |partition: &Partition| partition.replicas.iter().map(|id| cluster.brokers[id].clone()).collect::<BTreeSet<_>>().len();
            prop_assert!(racks(now) >= racks(before), "racks are kept");
        }
        let mut names: Vec<String> = plan.steps.iter().map(Step::name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), all, "a partition is moved once");
        prop_assert_eq!(&plan.before, &loads(&cluster));
        prop_assert_eq!(&plan.after, &loads(&changed));
    }

    #[test]
    fn no_step_makes_anything_worse(cluster in clusters(), leaders_only: bool) {
        let plan = plan(&cluster, leaders_only, 1_000);
        let tolerated = Planning::new(&cluster, 0).tolerated();
        let mut now = cluster.clone();
        for step in &plan.steps {
            let next = after(&now, std::slice::from_ref(step));
            prop_assert!(highest(&next) <= highest(&now).max(tolerated), "{}", step);
            now = next;
        }
        prop_assert!(plan.steps.len() <= cluster.partitions.len());
        // A replica is copied for load or number, never for leaderships alone.
        for step in plan.steps.iter().filter(|step| step.copies > 0) {
            prop_assert!(step.from.iter().any(|old| !step.to.contains(old)), "{}", step);
        }
    }

    /// Planned again and again, as somebody would who runs it every day, it comes to an end.
    #[test]
    fn it_ends(cluster in clusters(), leaders_only: bool) {
        let mut now = cluster;
        for _ in 0..50 {
            let steps = plan(&now, leaders_only, 7).steps;
            if steps.is_empty() {
                return Ok(());
            }
            now = after(&now, &steps);
        }
        prop_assert!(false, "it goes on and on");
    }

    /// Where nothing is written, nothing is unhealthy and nobody has a rack, numbers are all that counts.
    #[test]
    fn idle_partitions_are_spread_by_number(count in 1_i32..8, all in prop::collection::vec((0_i32..8, 1_i32..4), 0..60)) {
        let one = |(index, (first, factor)): (usize, (i32, i32))| {
            let replicas: Vec<i32> = (0..factor.min(count)).map(|step| (first % count + step) % count).collect();
            partition(index as i32, &replicas, 0, 1)
        };
        let mut now = cluster(&brokers(0..=count - 1), all.into_iter().enumerate().map(one).collect());
        for _ in 0..50 {
            now = after(&now, &plan(&now, false, 1_000).steps);
        }
        prop_assert!(spread_of(&now, |load| load.replicas) <= 1, "{:?}", loads(&now));
    }

    /// With many small loads the highest is within the tolerance.
    #[test]
    fn small_loads_are_levelled(count in 2_i32..6, all in prop::collection::vec(0_i32..8, 60..90)) {
        let one = |(index, first): (usize, i32)| partition(index as i32, &[first % count], MIB, MIB);
        let cluster = cluster(&brokers(0..=count - 1), all.into_iter().enumerate().map(one).collect());
        let plan = plan(&cluster, false, 1_000);
        let planning = Planning::new(&cluster, 0);
        prop_assert!(plan.after.values().all(|load| load.bytes <= planning.tolerated() + MIB), "{:?}", plan.after);
    }
}
