//! Tells the program which versions of the drivers it is built with.

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    for (name, variable) in [("tokio-postgres", "TOKIO_POSTGRES"), ("sqlx", "SQLX")] {
        let after =
            lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).unwrap_or_default();
        println!(
            "cargo::rustc-env={variable}={name} {}",
            after.split('"').next().unwrap_or_default()
        );
    }
    println!("cargo::rerun-if-changed=Cargo.lock");
}
