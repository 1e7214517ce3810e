//! Writes the bindings to libpg_query's parse tree, and the code that turns each C node into the
//! parser crate's own type, from the field lists that libpg_query carries for its own output.

#[path = "build/fields.rs"]
mod fields;
#[path = "build/generate.rs"]
mod generate;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The headers that declare every node, and the results of the functions that this crate calls.
const HEADERS: &[&str] = &[
    "postgres.h",
    "nodes/parsenodes.h",
    "nodes/primnodes.h",
    "nodes/value.h",
    "pg_query.h",
    "pg_query_internal.h",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let library = library();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings(&library, &out);
    let nodes = fields::read(&library);
    fs::write(out.join("convert.rs"), generate::source(&nodes)).expect("OUT_DIR can be written");
}

/// Where the sources of libpg_query are: the parser crate carries them, but names them to nobody.
fn library() -> PathBuf {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let run = |options: &[&str]| {
        cargo_metadata::MetadataCommand::new()
            .other_options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
            .exec()
    };
    // On a fresh machine nothing is there yet that only tests or other platforms need.
    let metadata = run(&["--offline", "--locked", "--filter-platform", &target])
        .or_else(|_| run(&["--locked", "--filter-platform", &target]))
        .expect("cargo metadata names the parser crate");
    let package = metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == "pg_query")
        .expect("pg_query is a dependency");
    let manifest = Path::new(package.manifest_path.as_str());
    manifest.parent().expect("a manifest lies in a folder").join("libpg_query")
}

fn bindings(library: &Path, out: &Path) {
    let includes = ["", "src", "src/postgres/include"];
    let text: String = HEADERS.iter().map(|h| format!("#include \"{h}\"\n")).collect();
    bindgen::Builder::default()
        .header_contents("tree.h", &text)
        .clang_args(includes.iter().map(|i| format!("-I{}", library.join(i).display())))
        .allowlist_file(".*/nodes/(parsenodes|primnodes|value|nodes|pg_list|lockoptions)\\.h")
        .allowlist_type("PgQueryError|PgQueryInternalParsetreeAndError")
        .allowlist_var("PG_VERSION_NUM")
        .allowlist_type("MemoryContext")
        .opaque_type("MemoryContextData")
        .ignore_functions()
        .layout_tests(false)
        .generate_comments(false)
        .prepend_enum_name(false)
        .generate()
        .expect("the parser's headers can be read; is libclang installed?")
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR can be written");
}
