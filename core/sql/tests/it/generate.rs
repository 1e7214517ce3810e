//! Statements made by chance from a grammar, over the tables of the live tests. Every statement is meant to be valid;
//! what the server refuses all the same has to be refused alike in both worlds.

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Date,
}

use Kind::{Date, Number, Text};

type Columns = Vec<(String, Kind)>;

const TABLES: &[(&str, &[(&str, Kind)])] = &[
    (
        "customers",
        &[
            ("id", Number),
            ("name", Text),
            ("email", Text),
            ("ssn", Text),
            ("born", Date),
            ("balance", Number),
        ],
    ),
    ("orders", &[("id", Number), ("customer_id", Number), ("total", Number), ("note", Text)]),
    ("people", &[("id", Number), ("secret", Text)]),
    ("events", &[("id", Number), ("token", Text)]),
    ("\"Odd \"\"Table\"", &[("id", Number), ("\"Sec ret\"", Text)]),
    ("plain", &[("id", Number), ("ssn_x", Text)]),
];

/// Queries in queries go this deep.
const DEPTH_MAX: u32 = 3;

/// Makes statements; the same seed makes the same ones.
pub(crate) struct Generator {
    state: u64,
    names: u32,
    /// What the query at hand and those around it can name.
    scope: Vec<(String, Columns)>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, names: 0, scope: Vec::new() }
    }

    fn below(&mut self, count: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let wide = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(wide).expect("31 bits") % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    /// One whole statement.
    pub(crate) fn statement(&mut self) -> String {
        (self.names, self.scope) = (0, Vec::new());
        match self.below(12) {
            0 => format!("COPY ({}) TO STDOUT", self.select(0).0),
            2 => format!("DECLARE c CURSOR FOR {}", self.select(0).0),
            3 => {
                let text = self.query_of(&[Number, Text], 1);
                format!("INSERT INTO plain {text} RETURNING id, ssn_x")
            }
            4 => {
                self.scope = vec![table("orders", "orders")];
                let (value, condition) = (self.expression(Text, 1), self.condition(1));
                format!("UPDATE orders SET note = {value} WHERE {condition} RETURNING *")
            }
            5 => {
                let (from, condition) = self.joined("orders");
                format!("DELETE FROM orders USING {from} WHERE {condition} RETURNING orders.id")
            }
            _ => self.select(0).0,
        }
    }

    /// One more relation beside a target, and a condition over both.
    fn joined(&mut self, target: &str) -> (String, String) {
        self.scope = vec![table(target, target)];
        let (from, entry) = self.relation();
        self.scope.push(entry);
        let condition = self.condition(1);
        (from, condition)
    }

    /// A query, and the columns that it gives.
    fn select(&mut self, depth: u32) -> (String, Columns) {
        let count = 1 + self.below(3);
        let kinds: Vec<Kind> =
            (0..count).map(|_| [Number, Text, Text, Date][self.below(4)]).collect();
        let columns =
            kinds.iter().enumerate().map(|(at, kind)| (format!("c{at}"), *kind)).collect();
        let mut text = self.query_of(&kinds, depth);
        if depth < DEPTH_MAX && self.one_in(8) {
            let how = self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            let other = self.query_of(&kinds, depth + 1);
            text = format!("({text}) {how} ({other})");
        }
        if self.one_in(3) {
            let order =
                self.pick(&["ORDER BY 1", "ORDER BY 1 DESC NULLS LAST", "ORDER BY 1 LIMIT 2"]);
            text = format!("{text} {order}");
        }
        (text, columns)
    }

    /// A query whose columns are called c0, c1, ….
    fn query_of(&mut self, kinds: &[Kind], depth: u32) -> String {
        let outer = self.scope.len();
        let with = if depth < DEPTH_MAX && self.one_in(6) { self.with(depth) } else { None };
        let from = self.from(depth);
        if let Some((name, columns, _)) = &with {
            self.scope.push((name.clone(), columns.clone()));
        }
        let from = match &with {
            Some((name, ..)) => format!("{from} CROSS JOIN {name}"),
            None => from,
        };
        let condition = if self.one_in(3) { None } else { Some(self.condition(depth)) };
        let text = if self.one_in(4) {
            self.grouped(kinds, &from, condition.as_deref())
        } else {
            let distinct = if self.one_in(8) { "DISTINCT " } else { "" };
            let targets: Vec<String> = kinds
                .iter()
                .enumerate()
                .map(|(at, kind)| format!("{} AS c{at}", self.expression(*kind, depth)))
                .collect();
            let condition = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
            format!("SELECT {distinct}{} FROM {from}{condition}", targets.join(", "))
        };
        self.scope.truncate(outer);
        match with {
            Some((name, _, query)) => format!("WITH {name} AS ({query}) {text}"),
            None => text,
        }
    }

    fn with(&mut self, depth: u32) -> Option<(String, Columns, String)> {
        let name = self.name();
        // It does not see the query that it stands before.
        let scope = std::mem::take(&mut self.scope);
        let (query, columns) = self.select(depth + 1);
        self.scope = scope;
        Some((name, columns, query))
    }

    fn grouped(&mut self, kinds: &[Kind], from: &str, condition: Option<&str>) -> String {
        let mut groups = Vec::new();
        let mut targets = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            if at == 0 {
                let column = self.column(*kind);
                groups.push(column.clone());
                targets.push(format!("{column} AS c{at}"));
                continue;
            }
            let aggregate = match kind {
                Number => {
                    let of = self.column(Text);
                    self.pick(&["count(*)", "count(DISTINCT @)", "max(length(@))"])
                        .replace('@', &of)
                }
                Text => {
                    let of = self.column(Text);
                    self.pick(&["max(@)", "min(@)", "string_agg(@, ',' ORDER BY @)"])
                        .replace('@', &of)
                }
                Date => format!("max({})", self.column(Date)),
            };
            targets.push(format!("{aggregate} AS c{at}"));
        }
        let condition = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
        let having = if self.one_in(3) {
            format!(" HAVING max({}) > 'a'", self.column(Text))
        } else {
            String::new()
        };
        format!(
            "SELECT {} FROM {from}{condition} GROUP BY {}{having}",
            targets.join(", "),
            groups.join(", ")
        )
    }

    fn relation(&mut self) -> (String, (String, Columns)) {
        let (name, _) = TABLES[self.below(TABLES.len())];
        let alias = self.name();
        let entry = table(name, &alias);
        let only = if name == "customers" && self.one_in(6) { "ONLY " } else { "" };
        (format!("{only}{name} AS {alias}"), entry)
    }

    fn from(&mut self, depth: u32) -> String {
        let (mut text, entry) = self.item(depth, false);
        let mut entries = vec![entry];
        if self.one_in(2) {
            let lateral = self.one_in(4);
            if lateral {
                self.scope.append(&mut entries);
            }
            let (other, second) = self.item(depth, lateral);
            entries.push(second);
            let how = self.pick(&["JOIN", "LEFT JOIN", "CROSS JOIN", "JOIN", ","]);
            let how = if lateral { "CROSS JOIN" } else { how };
            self.scope.append(&mut entries);
            text = match how {
                "CROSS JOIN" => format!("{text} CROSS JOIN {other}"),
                "," => format!("{text}, {other}"),
                _ => format!("{text} {how} {other} ON {}", self.comparison(depth)),
            };
        }
        self.scope.append(&mut entries);
        text
    }

    fn item(&mut self, depth: u32, lateral: bool) -> (String, (String, Columns)) {
        if depth >= DEPTH_MAX || (!lateral && !self.one_in(4)) {
            return self.relation();
        }
        let scope = std::mem::take(&mut self.scope);
        if lateral {
            self.scope.clone_from(&scope);
        }
        let (query, columns) = self.select(depth + 1);
        self.scope = scope;
        let alias = self.name();
        let lateral = if lateral { "LATERAL " } else { "" };
        (format!("{lateral}({query}) AS {alias}"), (alias, columns))
    }

    /// A column in scope of this kind, or a constant where there is none.
    fn column(&mut self, kind: Kind) -> String {
        let all: Vec<String> = self
            .scope
            .iter()
            .rev()
            .take(2)
            .flat_map(|(alias, columns)| {
                let of_kind = columns.iter().filter(|(_, k)| *k == kind);
                of_kind.map(move |(name, _)| format!("{alias}.{name}"))
            })
            .collect();
        if all.is_empty() {
            return constant(kind, self.below(4)).to_owned();
        }
        all[self.below(all.len())].clone()
    }

    fn expression(&mut self, kind: Kind, depth: u32) -> String {
        if self.one_in(3) || depth > DEPTH_MAX {
            return self.column(kind);
        }
        let depth = depth + 1;
        match (kind, self.below(9)) {
            (_, 0) => constant(kind, self.below(4)).to_owned(),
            (_, 1) => {
                let (when, one) = (self.condition(depth), self.expression(kind, depth));
                format!("CASE WHEN {when} THEN {one} ELSE {} END", self.column(kind))
            }
            (_, 2) => format!("coalesce({}, {})", self.column(kind), self.expression(kind, depth)),
            (_, 3) if depth < DEPTH_MAX => {
                let inner = self.query_of(&[kind], depth + 1);
                format!("(SELECT max(c0) FROM ({inner}) s)")
            }
            (Number, 4) => format!("length({})", self.expression(Text, depth)),
            (Number, 5) => format!("({} + {})", self.column(Number), self.below(5)),
            (Number, 6) => format!("count(*) OVER (PARTITION BY {})", self.column(Text)),
            (Text, 4) => format!("upper({})", self.expression(Text, depth)),
            (Text, 5) => format!("({} || {})", self.column(Text), self.expression(Text, depth)),
            (Text, 6) => format!("left({}, {})", self.column(Text), self.below(4)),
            (Text, 7) => format!("{}::text", self.column(Number)),
            (Text, 8) => {
                format!("max({}) OVER (ORDER BY {})", self.column(Text), self.column(Number))
            }
            (Date, 4 | 5) => format!("({} + {})", self.column(Date), self.below(9)),
            _ => self.column(kind),
        }
    }

    fn comparison(&mut self, depth: u32) -> String {
        let kind = [Number, Text, Text][self.below(3)];
        let operator = self.pick(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]);
        let (left, right) = (self.column(kind), self.simple(kind, depth));
        format!("{left} {operator} {right}")
    }

    fn simple(&mut self, kind: Kind, depth: u32) -> String {
        if self.one_in(2) {
            constant(kind, self.below(4)).to_owned()
        } else {
            self.plain(kind, depth)
        }
    }

    /// An expression without window functions, which conditions may not have.
    fn plain(&mut self, kind: Kind, _depth: u32) -> String {
        let column = self.column(kind);
        match kind {
            Text if self.one_in(3) => format!("lower({column})"),
            Number if self.one_in(3) => format!("({column} * 2)"),
            _ => column,
        }
    }

    pub(crate) fn condition(&mut self, depth: u32) -> String {
        let depth = depth + 1;
        match self.below(10) {
            0 => format!("{} LIKE '%{}%'", self.column(Text), self.pick(&["C", "1", "x", "CAN"])),
            1 => format!("{} IN ('C8', '1', 'x')", self.column(Text)),
            2 => format!("{} IS NOT NULL", self.column(Text)),
            3 => format!("{} BETWEEN '1' AND 'CB'", self.column(Text)),
            4 if depth < DEPTH_MAX => {
                let column = self.column(Text);
                let inner = self.query_of(&[Text], depth + 1);
                format!("{column} IN (SELECT c0 FROM ({inner}) s)")
            }
            5 if depth < DEPTH_MAX => {
                let inner = self.query_of(&[Number], depth + 1);
                format!("EXISTS ({inner})")
            }
            6 => format!("({} AND {})", self.comparison(depth), self.comparison(depth)),
            7 => format!("({} OR {})", self.comparison(depth), self.comparison(depth)),
            8 => format!("NOT ({})", self.comparison(depth)),
            _ => self.comparison(depth),
        }
    }
}

fn table(name: &str, alias: &str) -> (String, Columns) {
    let columns = TABLES.iter().find(|(table, _)| *table == name).map_or(&[][..], |(_, c)| c);
    (alias.to_owned(), columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect())
}

fn constant(kind: Kind, choice: usize) -> &'static str {
    match kind {
        Number => ["1", "2", "0", "7"][choice],
        Text => ["'1'", "'C8'", "'CAN'", "'x'"][choice],
        Date => ["date '2000-01-01'"; 4][choice],
    }
}
