//! What a power loss may and may not do.

use super::*;

fn disk() -> (Disk, u64) {
    let mut disk = Disk::new(u64::MAX);
    let inode = disk.create(Path::new("/a")).unwrap();
    (disk, inode)
}

#[test]
fn synced_bytes_survive_any_power_loss_and_unsynced_ones_are_torn_at_sectors() {
    let (mut kept, mut lost, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let (mut disk, inode) = disk();
        disk.write(inode, 0, Bytes::from(vec![1; 2000]));
        disk.sync_names(Path::new("/")).unwrap();
        disk.sync(inode, disk.mark());
        disk.write(inode, 2000, Bytes::from(vec![2; 3000]));
        disk.lose_power(&mut Rng::new(seed, 0), &mut Faults::default());
        let inode = disk.file(Path::new("/a")).unwrap();
        let content = &disk.node(inode).durable;
        assert_eq!(content[..2000], vec![1; 2000]);
        let rest = &content[2000..];
        match rest.iter().filter(|&&byte| byte == 2).count() {
            0 => lost += 1,
            3000 => kept += 1,
            _ => {
                torn += 1;
                for (index, &byte) in rest.iter().enumerate() {
                    let sector_start = ((2000 + index) / 512 * 512).max(2000) - 2000;
                    assert_eq!(byte, rest[sector_start], "a sector is whole");
                }
            }
        }
    }
    assert!(kept > 20 && lost > 20 && torn > 20, "{kept} {lost} {torn}");
}

#[test]
fn a_name_that_was_not_synced_may_go_and_with_it_the_file() {
    let found = |seed| {
        let (mut disk, inode) = disk();
        disk.sync(inode, disk.mark());
        disk.lose_power(&mut Rng::new(seed, 0), &mut Faults::default());
        disk.file(Path::new("/a")).is_ok()
    };
    let found = (0..100).filter(|&seed| found(seed)).count();
    assert!((10..90).contains(&found), "{found}");
}

#[test]
fn a_rename_is_all_or_nothing() {
    for seed in 0..100 {
        let mut disk = Disk::new(u64::MAX);
        for (name, byte) in [("/d/a", 1), ("/d/a.tmp", 2)] {
            disk.create_directory(Path::new("/d")).unwrap();
            let inode = disk.create(Path::new(name)).unwrap();
            disk.write(inode, 0, Bytes::from(vec![byte; 10]));
            disk.sync(inode, disk.mark());
        }
        disk.sync_names(Path::new("/d")).unwrap();
        disk.sync_names(Path::new("/")).unwrap(); // either order will do
        disk.rename(Path::new("/d/a.tmp"), Path::new("/d/a")).unwrap();
        disk.lose_power(&mut Rng::new(seed, 0), &mut Faults::default());
        let inode = disk.file(Path::new("/d/a")).unwrap();
        let byte = disk.node(inode).durable[0];
        assert_eq!(disk.file(Path::new("/d/a.tmp")).is_ok(), byte == 1);
    }
}

#[test]
fn a_name_synced_in_a_directory_follows_it_to_its_new_name() {
    for seed in 0..50 {
        let mut disk = Disk::new(u64::MAX);
        disk.create_directory(Path::new("/d/t-0")).unwrap();
        disk.create(Path::new("/d/t-0/log")).unwrap();
        disk.rename(Path::new("/d/t-0"), Path::new("/d/t-0.delete")).unwrap();
        for directory in ["/", "/d", "/d/t-0.delete"] {
            disk.sync_names(Path::new(directory)).unwrap();
        }
        disk.lose_power(&mut Rng::new(seed, 0), &mut Faults::default());
        assert_eq!(disk.files(Path::new("/")), [Path::new("/d/t-0.delete/log")]);
        disk.remove_tree(Path::new("/d/t-0.delete")).unwrap();
        assert!(disk.files(Path::new("/")).is_empty() && disk.find(Path::new("/d")).is_some());
    }
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next_one() {
    let (mut disk, inode) = disk();
    disk.write(inode, 0, Bytes::from_static(b"lost"));
    disk.lose(inode, disk.mark(), false);
    assert_eq!(disk.node(inode).live, b"lost", "still in the page cache");
    disk.sync(inode, disk.mark());
    assert_eq!(disk.node(inode).durable, b"");
    assert!(!disk.is_synced(inode, 4));
}

#[test]
fn an_unlinked_open_file_lives_until_it_is_closed() {
    let (mut disk, inode) = disk();
    disk.sync_names(Path::new("/")).unwrap();
    disk.open(inode);
    disk.remove(Path::new("/a")).unwrap();
    disk.sync_names(Path::new("/")).unwrap();
    disk.write(inode, 0, Bytes::from_static(b"x"));
    disk.close(inode);
    assert_eq!(disk.used(), 0);
    assert!(disk.nodes.is_empty());
}

#[test]
fn a_full_disk_takes_a_prefix_and_reservations_count() {
    let (mut disk, inode) = disk();
    disk.capacity = 100;
    assert_eq!(disk.room(inode, 0, 150), 100);
    assert!(!disk.reserve(inode, 101));
    assert!(disk.reserve(inode, 100));
    let other = disk.create(Path::new("/b")).unwrap();
    assert_eq!(disk.room(other, 0, 1), 0);
    assert_eq!(disk.room(inode, 40, 150), 60);
}
