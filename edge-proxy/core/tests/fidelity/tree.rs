//! Reads the text form of the server's own trees: `{NODE :field value …}`.

/// A part of a tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number, a string, `<>`.
    Atom(String),
    /// `( … )` and `[ … ]`.
    List(Vec<Self>),
    /// `{NAME :field value …}`.
    Node(Node),
}

/// One node: its name and its fields; a field may have more values than one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) fields: Vec<(String, Vec<Value>)>,
}

impl Node {
    /// The values of a field.
    pub(crate) fn field(&self, name: &str) -> &[Value] {
        self.fields.iter().find(|f| f.0 == name).map_or(&[], |f| f.1.as_slice())
    }

    /// A field that is a number; 0 where it is missing.
    pub(crate) fn number(&self, name: &str) -> u32 {
        match self.field(name) {
            [Value::Atom(atom)] => atom.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    /// A field that is one word.
    pub(crate) fn word(&self, name: &str) -> &str {
        match self.field(name) {
            [Value::Atom(atom)] => atom,
            _ => "",
        }
    }

    /// A field that is a set of numbers: `(b 1 2 3)`.
    pub(crate) fn bits(&self, name: &str) -> Vec<u32> {
        match self.field(name) {
            [Value::List(list)] => list
                .iter()
                .filter_map(|v| match v {
                    Value::Atom(atom) => atom.parse().ok(),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

/// Reads a whole text; what does not fit the form is taken as an atom.
pub(crate) fn read(text: &str) -> Value {
    let mut reader = Reader { rest: text.chars().peekable() };
    let mut values = Vec::new();
    while let Some(value) = reader.value() {
        values.push(value);
    }
    match values.len() {
        1 => values.remove(0),
        _ => Value::List(values),
    }
}

impl Reader<'_> {
    fn skip(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| !c.is_whitespace() && !"(){}[]".contains(*c)) {
            match c {
                '\\' => word.extend(self.rest.next()),
                _ => word.push(c),
            }
        }
        word
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match self.rest.peek()? {
            '{' => {
                self.rest.next();
                Some(Value::Node(self.node()))
            }
            '(' | '[' => {
                self.rest.next();
                let mut items = Vec::new();
                while let Some(item) = self.value() {
                    items.push(item);
                }
                // The closing sign that ended the list.
                self.rest.next();
                Some(Value::List(items))
            }
            ')' | ']' | '}' => None,
            _ => Some(Value::Atom(self.word())),
        }
    }

    fn node(&mut self) -> Node {
        self.skip();
        let mut node = Node { name: self.word(), fields: Vec::new() };
        loop {
            self.skip();
            if self.rest.next_if_eq(&':').is_some() {
                let name = self.word();
                node.fields.push((name, Vec::new()));
            } else if let Some(value) = self.value() {
                match node.fields.last_mut() {
                    Some(field) => field.1.push(value),
                    None => node.fields.push((String::new(), vec![value])),
                }
            } else {
                self.rest.next();
                return node;
            }
        }
    }
}

#[test]
fn trees_are_read() {
    let text = r"{RTE :alias <> :eref {ALIAS :aliasname a\ b :colnames (\:x ())} :relid 16
  :selectedCols (b 7
 8) :c 4 [ 1 0 ]}";
    let Value::Node(node) = read(text) else { panic!("a node") };
    assert_eq!(node.bits("selectedCols"), [7, 8]);
    assert_eq!(node.word("alias"), "<>");
    let [Value::Node(eref)] = node.field("eref") else { panic!("a node") };
    assert_eq!(eref.word("aliasname"), "a b");
    assert_eq!(node.field("c").len(), 2);
}
