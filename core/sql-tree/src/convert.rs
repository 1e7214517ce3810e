//! C nodes to values. The functions for single nodes are written by the build script.
//!
//! Every function here is unsafe for one reason: its pointers must be null or point into a parse tree
//! whose memory lives until the function returns.

use std::ffi::{CStr, c_char};

use pg_query::{NodeEnum, protobuf as pb};

use crate::c;

/// Something that a raw parse tree does not have; its name.
pub(crate) struct Odd(pub(crate) &'static str);

/// Where a node's value goes: nodes are large, so each is built where it stays.
type Slot = Option<NodeEnum>;

type Converter = unsafe fn(*const c::Node, &mut Slot) -> Result<(), Odd>;

#[allow(clippy::all, clippy::undocumented_unsafe_blocks, unused_unsafe, dead_code)]
mod generated {
    use super::{Converter, Odd, Slot, convert_string, letter, list, pointer, text};
    use super::{
        node_a_const, node_bit_string, node_boolean, node_float, node_int_list, node_integer,
        node_list, node_oid_list, node_string,
    };
    use crate::c;
    use pg_query::{NodeEnum, protobuf as pb};

    include!(concat!(env!("OUT_DIR"), "/convert.rs"));

    pub(super) fn converter_of(tag: c::NodeTag) -> Option<Converter> {
        converter(tag)
    }

    pub(super) unsafe fn statement(node: &c::RawStmt) -> Result<pb::RawStmt, Odd> {
        unsafe { convert_raw_stmt(node) }
    }
}

/// The version number that the library's own output carries.
const VERSION: i32 = c::PG_VERSION_NUM as i32;

/// The statements of a text.
pub(crate) unsafe fn statements(tree: *const c::List) -> Result<pb::ParseResult, Odd> {
    // SAFETY: as promised to this function.
    let items = unsafe { items(tree)? };
    let mut stmts = Vec::with_capacity(items.len());
    for node in items {
        // SAFETY: a list of nodes holds nodes or null, and the tag is every node's first field.
        match unsafe { node.as_ref() } {
            Some(raw) if raw.type_ == c::T_RawStmt => {
                // SAFETY: the tag says that it is this struct.
                stmts.push(unsafe { generated::statement(&*node.cast::<c::RawStmt>())? });
            }
            _ => return Err(Odd("list of statements")),
        }
    }
    Ok(pb::ParseResult { version: VERSION, stmts })
}

/// The cells of a list of nodes.
unsafe fn items<'a>(
    list: *const c::List,
) -> Result<impl ExactSizeIterator<Item = *const c::Node> + 'a, Odd> {
    // SAFETY: null or a list.
    let cells: &'a [c::ListCell] = match unsafe { list.as_ref() } {
        None => &[],
        Some(list) if list.type_ == c::T_List => {
            let length = usize::try_from(list.length).map_err(|_| Odd("list length"))?;
            // SAFETY: a list has `length` cells at `elements`.
            unsafe { std::slice::from_raw_parts(list.elements, length) }
        }
        Some(_) => return Err(Odd("list of numbers")),
    };
    // SAFETY: the cells of a T_List are pointers.
    Ok(cells.iter().map(|cell| unsafe { cell.ptr_value }.cast::<c::Node>().cast_const()))
}

unsafe fn list(list: *const c::List) -> Result<Vec<pb::Node>, Odd> {
    // SAFETY: as promised to this function.
    let items = unsafe { items(list)? };
    // Nodes are large: no more room than is needed, as collecting results would take.
    let mut nodes = Vec::with_capacity(items.len());
    for item in items {
        let slot = &mut nodes.push_mut(pb::Node { node: None }).node;
        // SAFETY: each item is null or a node of the same tree. An empty item stays an empty node.
        unsafe { node(item, slot)? };
    }
    Ok(nodes)
}

unsafe fn node(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: null or a node, whose first field is its tag.
    let Some(tag) = (unsafe { node.as_ref() }).map(|n| n.type_) else { return Ok(()) };
    let convert = generated::converter_of(tag).ok_or(Odd("node"))?;
    // SAFETY: the converter is that of the node's own tag.
    unsafe { convert(node, slot) }
}

unsafe fn pointer(at: *const c::Node) -> Result<Option<Box<pb::Node>>, Odd> {
    if at.is_null() {
        return Ok(None);
    }
    let mut boxed = Box::new(pb::Node { node: None });
    // SAFETY: as promised to this function.
    unsafe { node(at, &mut boxed.node)? };
    Ok(Some(boxed))
}

/// A text, or an empty one for null.
unsafe fn text(text: *const c_char) -> Result<String, Odd> {
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: not null, so it is a C string of the tree.
    let text = unsafe { CStr::from_ptr(text) };
    // Names are cut after 63 bytes, but between characters; anything else is not to be guessed at.
    text.to_str().map(str::to_owned).map_err(|_| Odd("text that is not UTF-8"))
}

/// A one-letter text, or an empty one for zero.
fn letter(letter: c_char) -> String {
    match u8::try_from(letter) {
        Ok(0) | Err(_) => String::new(),
        Ok(byte) => char::from(byte).to_string(),
    }
}

unsafe fn node_integer(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    let ival = unsafe { (*node.cast::<c::Integer>()).ival };
    *slot = Some(NodeEnum::Integer(pb::Integer { ival }));
    Ok(())
}

unsafe fn node_float(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    let fval = unsafe { text((*node.cast::<c::Float>()).fval)? };
    *slot = Some(NodeEnum::Float(pb::Float { fval }));
    Ok(())
}

unsafe fn node_boolean(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    let boolval = unsafe { (*node.cast::<c::Boolean>()).boolval };
    *slot = Some(NodeEnum::Boolean(pb::Boolean { boolval }));
    Ok(())
}

unsafe fn node_string(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    *slot = Some(NodeEnum::String(unsafe { convert_string(&*node.cast::<c::String>())? }));
    Ok(())
}

unsafe fn convert_string(node: &c::String) -> Result<pb::String, Odd> {
    // SAFETY: as promised to this function.
    Ok(pb::String { sval: unsafe { text(node.sval)? } })
}

unsafe fn node_bit_string(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    let bsval = unsafe { text((*node.cast::<c::BitString>()).bsval)? };
    *slot = Some(NodeEnum::BitString(pb::BitString { bsval }));
    Ok(())
}

unsafe fn node_list(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    // SAFETY: the tag says that it is this struct.
    let items = unsafe { list(node.cast::<c::List>())? };
    *slot = Some(NodeEnum::List(pb::List { items }));
    Ok(())
}

unsafe fn node_int_list(_: *const c::Node, _: &mut Slot) -> Result<(), Odd> {
    Err(Odd("list of numbers"))
}

unsafe fn node_oid_list(_: *const c::Node, _: &mut Slot) -> Result<(), Odd> {
    Err(Odd("list of object ids"))
}

unsafe fn node_a_const(node: *const c::Node, slot: &mut Slot) -> Result<(), Odd> {
    use pb::a_const::Val;
    // SAFETY: the tag says that it is this struct.
    let constant = unsafe { &*node.cast::<c::A_Const>() };
    let val = if constant.isnull {
        None
    } else {
        // SAFETY: the value is a union of nodes, whose tag is the first field of each.
        unsafe { self::node(std::ptr::from_ref(&constant.val).cast(), slot)? };
        Some(match slot.take() {
            Some(NodeEnum::Integer(value)) => Val::Ival(value),
            Some(NodeEnum::Float(value)) => Val::Fval(value),
            Some(NodeEnum::Boolean(value)) => Val::Boolval(value),
            Some(NodeEnum::String(value)) => Val::Sval(value),
            Some(NodeEnum::BitString(value)) => Val::Bsval(value),
            _ => return Err(Odd("constant")),
        })
    };
    let location = constant.location;
    *slot = Some(NodeEnum::AConst(pb::AConst { isnull: constant.isnull, location, val }));
    Ok(())
}
