//! Reads files from their beginning and computes the CRC-32C of each: what a broker that recovers logs must do at least.

use crate::args::ChecksumArgs;
use crate::clock::{self, SECOND};
use crate::process;
use crate::report;
use crate::worker::Failure;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at once: few calls, and they stay in the processor's cache.
const READ_BYTES: usize = 256 * 1024;

/// CRC-32C and length of a file.
fn of_file(path: &Path, buffer: &mut [u8]) -> io::Result<(u32, u64)> {
    let mut file = File::open(path)?;
    let (mut crc, mut length) = (0, 0);
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok((crc, length)),
            Ok(read) => {
                crc = crc32c::crc32c_append(crc, &buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Prints the checksum, length and name of each file on one thread, and writes how long all of them took.
pub fn checksum(args: &ChecksumArgs) -> Result<(), Failure> {
    let told = |path: &Path, error: io::Error| Failure(format!("{}: {error}", path.display()));
    let mut buffer = vec![0; READ_BYTES];
    let (start, before, mut bytes) = (clock::now(), process::own_cpu(), 0);
    for path in &args.files {
        let (crc, length) = of_file(path, &mut buffer).map_err(|error| told(path, error))?;
        bytes += length;
        println!("{crc:08x} {length} {}", path.display());
    }
    let seconds = (clock::now() - start) as f64 / SECOND as f64;
    if let Some(path) = &args.json {
        let result = json!({
            "command": "checksum", "version": env!("CARGO_PKG_VERSION"), "files": args.files.len(), "bytes": bytes,
            "seconds": seconds, "own_cpu_seconds": process::own_cpu().since(before),
        });
        report::write_json(path, &result)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        // Longer than one read, and no multiple of it.
        let bytes: Vec<u8> = (0..3 * READ_BYTES as u32 + 17).map(|i| (i * 7) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(of_file(&path, &mut vec![0; READ_BYTES]).unwrap(), (crc32c::crc32c(&bytes), bytes.len() as u64));
        assert!(of_file(&dir.path().join("none"), &mut [0; 16]).is_err());
    }

    #[test]
    fn the_result_tells_bytes_and_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let (file, json) = (dir.path().join("file"), dir.path().join("json"));
        std::fs::write(&file, [1; 1000]).unwrap();
        checksum(&ChecksumArgs { files: vec![file.clone(), file], json: Some(json.clone()) }).unwrap();
        let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        assert_eq!((&result["files"], &result["bytes"]), (&json!(2), &json!(2000)));
        assert!(result["seconds"].as_f64().unwrap() > 0.0);
    }
}
