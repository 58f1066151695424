//! Route templates given by the user, compiled into a trie over path segments.
//!
//! | in a template | matches |
//! |---|---|
//! | `{id}`, `:id`, `*` before the end | one segment that is not empty |
//! | `*`, `**`, `{*rest}`, `*rest` at the end | the rest, however deep, also nothing (`/ski/*` matches `/ski`) |
//! | anything else | itself, case-sensitive |
//!
//! A slash at the end is ignored on both sides, and so are `;parameters` in the path. A literal beats a
//! parameter, a parameter beats the rest, wherever the first difference is; a branch that leads nowhere is left
//! again. Each node is visited at most once per path, so matching is bounded by the size of the templates.

use super::without_parameters;

/// A set of compiled templates.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    texts: Vec<Box<str>>,
    /// The first is the root; empty when there is no template.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Children by literal segment, sorted.
    literals: Vec<(Box<str>, usize)>,
    /// Child for any one segment.
    parameter: Option<usize>,
    /// Template that ends here.
    end: Option<usize>,
    /// Template that takes all that follows.
    rest: Option<usize>,
}

impl Templates {
    /// Compiles a list. Of two templates that match the same paths the first counts; empty ones are ignored.
    pub fn new<S: AsRef<str>>(templates: &[S]) -> Self {
        let mut set = Self::default();
        for template in templates {
            let text = template.as_ref().trim();
            if !text.is_empty() {
                set.insert(text);
            }
        }
        set
    }

    /// The text, as configured, of the template that matches `path` best. Allocates nothing.
    pub fn find(&self, path: &str) -> Option<&str> {
        let found = self.walk(0, segments(path))?;
        self.texts.get(found).map(|text| &**text)
    }

    fn insert(&mut self, text: &str) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let id = self.texts.len();
        self.texts.push(text.into());
        let mut at = 0;
        let mut rest = segments(text);
        while let Some(path) = rest {
            let (segment, tail) = split_segment(path);
            if tail.is_none() && is_rest(segment) {
                self.nodes[at].rest.get_or_insert(id);
                return;
            }
            at = self.child(at, segment);
            rest = tail;
        }
        self.nodes[at].end.get_or_insert(id);
    }

    /// The child of node `at` for a template's segment, made if it is missing.
    fn child(&mut self, at: usize, segment: &str) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = if is_parameter(segment) {
            *node.parameter.get_or_insert(new)
        } else {
            match node
                .literals
                .binary_search_by(|(text, _)| (**text).cmp(segment))
            {
                Ok(found) => node.literals[found].1,
                Err(place) => {
                    node.literals.insert(place, (segment.into(), new));
                    new
                }
            }
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    fn walk(&self, at: usize, rest: Option<&str>) -> Option<usize> {
        let node = self.nodes.get(at)?;
        let Some(path) = rest else {
            return node.end.or(node.rest);
        };
        let (segment, tail) = split_segment(path);
        let segment = without_parameters(segment);
        let literal = node
            .literals
            .binary_search_by(|(text, _)| (**text).cmp(segment))
            .ok();
        let literal = literal.and_then(|found| self.walk(node.literals[found].1, tail));
        literal
            .or_else(|| {
                let parameter = node.parameter.filter(|_| !segment.is_empty())?;
                self.walk(parameter, tail)
            })
            .or(node.rest)
    }
}

/// The segments of a path or template, still joined; `None` when there is none.
fn segments(text: &str) -> Option<&str> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    (!text.is_empty()).then_some(text)
}

fn split_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, tail)) => (segment, Some(tail)),
        None => (path, None),
    }
}

fn is_parameter(segment: &str) -> bool {
    segment == "*"
        || (segment.starts_with(':') && segment.len() > 1)
        || (segment.starts_with('{') && segment.ends_with('}'))
}

fn is_rest(segment: &str) -> bool {
    segment.starts_with('*') || (segment.starts_with("{*") && segment.ends_with('}'))
}
