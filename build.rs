//! Compiles the contract: message types, service traits and the descriptor set
//! that reflection serves. Needs no protoc.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
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
