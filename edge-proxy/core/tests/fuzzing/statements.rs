//! Statement texts of any sort: the analysis answers, twice the same, and what it writes itself it understands.

use std::sync::OnceLock;

use writ_model::mask::ColumnMask;
use writ_model::{Catalog, ColumnMasks, MaskKind, OpaqueReason};
use writ_sql::{Names, Rewrite, analyze};

use crate::gates::table;

/// Longer texts only take longer, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let relations = vec![
            table(20_000, "customers", &[("id", "integer", 'N'), ("ssn", "text", 'S')]),
            table(20_001, "orders", &[("id", "integer", 'N'), ("status", "text", 'S')]),
        ];
        Catalog::new(150_000, relations, vec![])
    })
}

fn masks() -> ColumnMasks {
    let mut masks = ColumnMasks::default();
    let tag = "pii.national_id".parse().expect("a tag");
    masks.insert("public", "customers", "ssn", ColumnMask { kind: MaskKind::Redact, tag });
    masks
}

pub fn statements(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(TEXT_BYTES_MAX)]);
    if text.contains('\0') {
        return;
    }
    let (catalog, names, masks) = (catalog(), Names::default(), masks());
    let analysis = analyze(&text, catalog, &names);
    assert_eq!(analysis, analyze(&text, catalog, &names));
    let _ = analysis.lineage(catalog, &names);
    let _ = analysis.oracles(catalog, &masks);
    if let Ok(Rewrite::Text(rewritten)) = analysis.rewrite(catalog, &names, &masks) {
        let again = analyze(&rewritten, catalog, &names);
        let unreadable = |why: &OpaqueReason| matches!(why, OpaqueReason::Syntax(_));
        assert!(!again.facts().opaque.iter().any(unreadable), "{text:?} became {rewritten:?}");
    }
}
