//! Writes one function for each node and each enum, and the table of node tags.

use std::fmt::Write;

use heck::{ToSnakeCase, ToUpperCamelCase};

use crate::fields::{Field, Library, Node, Sort};

/// Field names that are Rust keywords.
const KEYWORDS: &[&str] = &["type", "override", "ref", "match", "final", "move", "loop", "where"];

/// Nodes whose conversion is written by hand.
const BY_HAND: &[&str] = &[
    "Integer",
    "Float",
    "Boolean",
    "String",
    "BitString",
    "List",
    "IntList",
    "OidList",
    "A_Const",
];

pub(crate) fn source(library: &Library) -> String {
    let mut out = String::new();
    for (name, values) in &library.enums {
        number(&mut out, name, values);
    }
    for node in &library.nodes {
        convert(&mut out, node);
    }
    table(&mut out, library);
    out
}

fn function(message: &str) -> String {
    format!("convert_{}", message.to_snake_case())
}

fn enum_function(name: &str) -> String {
    format!("number_of_{}", name.to_snake_case())
}

fn number(out: &mut String, name: &str, values: &[(String, String)]) {
    let _ = writeln!(out, "fn {}(value: c::{name}) -> Result<i32, Odd> {{", enum_function(name));
    let _ = writeln!(out, "    Ok(match value {{");
    for (value, number) in values {
        let _ = writeln!(out, "        c::{value} => {number},");
    }
    let _ = writeln!(out, "        _ => return Err(Odd(\"{name}\")),\n    }})\n}}\n");
}

fn convert(out: &mut String, node: &Node) {
    let message = node.message.to_upper_camel_case();
    let odd = node.fields.iter().any(|f| matches!(f.sort, Sort::Unsupported));
    let _ = writeln!(
        out,
        "unsafe fn {}(node: &c::{}) -> Result<pb::{message}, Odd> {{",
        function(&node.message),
        node.c_type
    );
    if odd {
        let _ = writeln!(out, "    let _ = node;\n    Err(Odd(\"{}\"))\n}}\n", node.message);
        return;
    }
    let _ = writeln!(out, "    let _ = node;\n    // SAFETY: as promised to this function.");
    let _ = writeln!(out, "    Ok(unsafe {{ pb::{message} {{");
    for field in &node.fields {
        let _ = writeln!(out, "        {}: {},", keyword(&field.name, "r#"), value(field));
    }
    let _ = writeln!(out, "    }} }})\n}}\n");
}

fn keyword(name: &str, mark: &str) -> String {
    if KEYWORDS.contains(&name) { format!("{mark}{name}") } else { name.to_owned() }
}

fn value(field: &Field) -> String {
    // The binding generator puts an underscore after a keyword.
    let name = match KEYWORDS.contains(&field.c_name.as_str()) {
        true => format!("node.{}_", field.c_name),
        false => format!("node.{}", field.c_name),
    };
    match &field.sort {
        Sort::Plain("bool") => name,
        Sort::Plain(sort) => format!("{name} as {sort}"),
        Sort::Char => format!("letter({name})"),
        Sort::Text => format!("text({name})?"),
        Sort::Enum(of) => format!("{}({name})?", enum_function(of)),
        Sort::List => format!("list({name})?"),
        Sort::Node => format!("pointer({name}.cast())?"),
        Sort::Pointer(of) => {
            let convert = function(of);
            format!(
                "match {name}.as_ref() {{ Some(n) => Some({convert}(n)?.into()), None => None }}"
            )
        }
        Sort::Inline(of) => format!("Some({}(&{name})?.into())", function(of)),
        Sort::Unsupported | Sort::Empty => "Default::default()".to_owned(),
    }
}

/// One function per tag keeps each one's variables off the stack of the others.
fn table(out: &mut String, library: &Library) {
    for arm in library.arms.iter().filter(|a| !BY_HAND.contains(&a.message.as_str())) {
        let node = library.nodes.iter().find(|n| n.message == arm.message);
        let c_type = &node.expect("each arm has a node").c_type;
        let _ = writeln!(
            out,
            "unsafe fn node_{name}(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {{\n    \
             // SAFETY: the tag says that it is this struct.\n    \
             *slot = Some(NodeEnum::{variant}(unsafe {{ {convert}(&*node.cast::<c::{c_type}>())? }}.into()));\n    \
             Ok(())\n}}\n",
            name = arm.message.to_snake_case(),
            variant = arm.field.to_upper_camel_case(),
            convert = function(&arm.message),
        );
    }
    let _ = writeln!(out, "fn converter(tag: c::NodeTag) -> Option<Converter> {{");
    let _ = writeln!(out, "    Some(match tag {{");
    for arm in &library.arms {
        let name = arm.message.to_snake_case();
        let _ = writeln!(out, "        c::{} => node_{name},", arm.tag);
    }
    let _ = writeln!(out, "        _ => return None,\n    }})\n}}");
}
