//! Reads what libpg_query's sources say about each node: its C name, its fields and their sorts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How one field is carried over.
pub(crate) enum Sort {
    Plain(&'static str),
    Char,
    Text,
    Enum(String),
    List,
    Node,
    Pointer(String),
    Inline(String),
    /// No field of a raw parse tree: a tree that has it is not understood.
    Unsupported,
    /// A field of the message that the C code leaves empty.
    Empty,
}

/// One field: its name in the message and in C.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) c_name: String,
    pub(crate) sort: Sort,
}

/// One node.
pub(crate) struct Node {
    /// The name of the message.
    pub(crate) message: String,
    /// The name of the C struct.
    pub(crate) c_type: String,
    pub(crate) fields: Vec<Field>,
}

/// One arm of the switch over node tags.
pub(crate) struct Arm {
    pub(crate) tag: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

/// All that the generator needs.
pub(crate) struct Library {
    pub(crate) nodes: Vec<Node>,
    pub(crate) arms: Vec<Arm>,
    /// For each C enum: its values and the numbers that stand for them in the message.
    pub(crate) enums: Vec<(String, Vec<(String, String)>)>,
}

pub(crate) fn read(library: &Path) -> Library {
    let file = |name: &str| {
        let path = library.join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let messages = messages(&file("protobuf/pg_query.proto"));
    let mut nodes = nodes(&file("src/include/pg_query_outfuncs_defs.c"));
    for node in &mut nodes {
        let known = messages.get(&node.message).expect("each node has a message");
        for name in known {
            if node.fields.iter().all(|f| &f.name != name) {
                let name = name.clone();
                node.fields.push(Field { c_name: name.clone(), name, sort: Sort::Empty });
            }
        }
    }
    Library {
        nodes,
        arms: arms(&file("src/include/pg_query_outfuncs_conds.c")),
        enums: enums(&file("src/include/pg_query_enum_defs.c")),
    }
}

/// The text between the first `open` and the next `close` after it.
fn between<'a>(line: &'a str, open: &str, close: &str) -> Option<&'a str> {
    line.split_once(open)?.1.split_once(close).map(|(inside, _)| inside)
}

fn arguments(line: &str) -> Vec<&str> {
    between(line, "(", ")").unwrap_or_default().split(',').map(str::trim).collect()
}

/// Message names with the names of their fields.
fn messages(proto: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in proto.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("message ") {
            current = Some(name.trim_end_matches('{').trim().to_owned());
        } else if let (Some(message), Some((left, _))) = (&current, line.split_once(" = "))
            && let Some(field) = left.split_whitespace().nth_back(0)
            && left.split_whitespace().count() > 1
        {
            all.entry(message.clone()).or_default().push(field.to_owned());
        } else if let Some(message) = &current
            && line.starts_with('{')
        {
            all.entry(message.clone()).or_default();
        }
    }
    all
}

/// The bodies `_outX(OUT_TYPE(Message, …) out, const CType *node) { WRITE_…; }`.
fn nodes(source: &str) -> Vec<Node> {
    let mut all: Vec<Node> = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("_out") {
            let message = between(line, "OUT_TYPE(", ",").expect("a message").trim().to_owned();
            let c_type = between(line, "const ", " *").expect("a C type").trim().to_owned();
            all.push(Node { message, c_type, fields: Vec::new() });
        } else if line.starts_with("WRITE_") {
            let node = all.last_mut().expect("fields follow a node");
            node.fields.push(field(line));
        }
    }
    all
}

fn field(line: &str) -> Field {
    let (macro_name, _) = line.split_once('(').expect("a macro has arguments");
    let arguments = arguments(line);
    let argument = |at: usize| (*arguments.get(at).expect("an argument")).to_owned();
    // The message comes first, then what sort of thing it is, then three names of the field.
    let (name, sort) = match macro_name {
        "WRITE_INT_FIELD" => (1, Sort::Plain("i32")),
        "WRITE_UINT_FIELD" => (1, Sort::Plain("u32")),
        "WRITE_UINT64_FIELD" => (1, Sort::Plain("u64")),
        "WRITE_LONG_FIELD" => (1, Sort::Plain("i64")),
        "WRITE_FLOAT_FIELD" => (1, Sort::Plain("f64")),
        "WRITE_BOOL_FIELD" => (1, Sort::Plain("bool")),
        "WRITE_CHAR_FIELD" => (1, Sort::Char),
        "WRITE_STRING_FIELD" => (1, Sort::Text),
        "WRITE_LIST_FIELD" => (1, Sort::List),
        "WRITE_NODE_PTR_FIELD" => (1, Sort::Node),
        "WRITE_ENUM_FIELD" => (2, Sort::Enum(argument(1))),
        "WRITE_SPECIFIC_NODE_PTR_FIELD" => (3, Sort::Pointer(argument(1))),
        "WRITE_SPECIFIC_NODE_FIELD" => (3, Sort::Inline(argument(1))),
        "WRITE_BITMAPSET_FIELD" | "WRITE_NODE_FIELD" => (1, Sort::Unsupported),
        other => panic!("{other}: a sort of field that this build script does not know"),
    };
    Field { name: argument(name), c_name: argument(name + 2), sort }
}

/// `case T_X: OUT_NODE(Message, …, field); break;`
fn arms(source: &str) -> Vec<Arm> {
    let mut all = Vec::new();
    let mut tag = None;
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("case ") {
            tag = Some(name.trim_end_matches(':').to_owned());
        } else if line.starts_with("OUT_NODE(") {
            let arguments = arguments(line);
            all.push(Arm {
                tag: tag.take().expect("a tag before each node"),
                message: arguments[0].to_owned(),
                field: arguments[5].trim_end_matches('_').to_owned(),
            });
        }
    }
    all
}

/// `_enumToIntX(X value) { switch(value) { case A: return 1; … } }`
fn enums(source: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut wanted = false;
    for line in source.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("_enumToInt") {
            let (name, _) = rest.split_once('(').expect("an enum's name");
            all.push((name.to_owned(), Vec::new()));
            wanted = true;
        } else if line.starts_with('_') {
            wanted = false;
        } else if wanted
            && let Some(rest) = line.strip_prefix("case ")
            && let Some((value, number)) = rest.split_once(": return ")
        {
            let (_, values) = all.last_mut().expect("values follow an enum");
            values.push((value.to_owned(), number.trim_end_matches(';').to_owned()));
        }
    }
    all
}
