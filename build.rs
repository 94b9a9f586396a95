//! Compiles the contract: message types, service traits and the descriptor set
//! that reflection serves. Needs no protoc. And tells the linker how to write down what the
//! loader adds its address to.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

/// The first glibc whose loader reads packed relocations (DT_RELR).
const PACKED: (u32, u32) = (2, 36);

fn main() -> Result<(), Box<dyn Error>> {
    // The loader reads all of them at each start: a megabyte of memory, and packed 12 KiB.
    if libc().is_some_and(|libc| libc >= PACKED) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo:rerun-if-changed=proto");
    let mut files = vec![PathBuf::from("google/rpc/error_details.proto")];
    for entry in fs::read_dir("proto/tidings/v1")? {
        files.push(PathBuf::from("tidings/v1").join(entry?.file_name()));
    }
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    // Encoded by protox itself: a detour over prost's types would lose the
    // google.api.http options, which reflection shows.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .extern_path(".google.rpc", "::tonic_types::pb")
        // A type of ours, which many tails can share without encoding it again.
        .extern_path(".tidings.v1.EventLogBatch", "crate::grpc::event_log_batch::EventLogBatch")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The version of glibc, where the program is to run with that of this machine.
fn libc() -> Option<(u32, u32)> {
    let env = |name| env::var(name).unwrap_or_default();
    if env("CARGO_CFG_TARGET_ENV") != "gnu" || env("TARGET") != env("HOST") {
        return None;
    }
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
