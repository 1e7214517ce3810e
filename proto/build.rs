//! Compiles the .proto files without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=writ/v1");
    let files = ["config", "edge", "admin", "lake"].map(|f| format!("writ/v1/{f}.proto"));
    let descriptors = protox::compile(files, ["."])?;
    // What is secret is not printed: `src/passwords.rs` says what is in place of it.
    let secret = [".writ.v1.PasswordKeys", ".writ.v1.MockSalts"];
    tonic_prost_build::configure().skip_debug(secret).compile_fds(descriptors)?;
    Ok(())
}
