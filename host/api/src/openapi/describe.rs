//! How a route is described: what it takes, since when, and what it answers.

use crate::fields::Field;

/// What an argument or a property holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type {
    Text,
    /// A text of at most so many characters.
    Short(usize),
    Uuid,
    Bool,
    /// A whole number between these.
    Int(i64, i64),
    /// A time.
    Moment,
    /// A list in one text, joined by commas.
    Csv,
    OneOf(&'static [&'static str]),
    /// An object of any kind.
    Object,
    /// A list of texts.
    Texts,
    /// One of the document's schemas.
    Named(&'static str),
    /// A list of one of them.
    Each(&'static str),
}

/// An argument of a query, or a key of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arg {
    pub(crate) name: &'static str,
    /// The minor version that brought it; 0 if it is as old as the route.
    pub(crate) since: u16,
    pub(crate) kind: Type,
    pub(crate) required: bool,
    pub(crate) about: &'static str,
}

/// An argument that may be left out.
pub(crate) const fn arg(name: &'static str, since: u16, kind: Type, about: &'static str) -> Arg {
    Arg { name, since, kind, required: false, about }
}

/// An argument that must be there.
pub(crate) const fn needed(name: &'static str, since: u16, kind: Type, about: &'static str) -> Arg {
    Arg { name, since, kind, required: true, about }
}

/// The body that a route takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    Nothing,
    /// A new resource: the fields that may be given, further keys, and the names of those that must be there.
    Resource(&'static [Field], &'static [Arg], &'static [&'static str]),
    /// A JSON Patch of a resource with these fields.
    Patch(&'static [Field]),
    /// An object of these keys, which may stand in the query as well.
    Args(&'static [Arg]),
    /// An object of these keys.
    Keys(&'static [Arg]),
    /// One of the document's schemas; whether it may be left out.
    Named(&'static str, bool),
    /// Any JSON, or nothing.
    Free,
    /// Bytes.
    Bytes,
}

/// What a route answers when all is well.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// Nothing but the status.
    Empty,
    /// One of the document's schemas.
    One(&'static str),
    /// An object with a list of one of them under this key, and perhaps `next`.
    List(&'static str, &'static str),
    /// An object with these keys at least.
    Keys(&'static [&'static str]),
    /// An object from names to values of this type.
    Map(Type),
    /// A list of anything.
    Array,
    /// Any JSON.
    Free,
    /// Bytes.
    Bytes,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The minor version of the v1 API that brought it.
    pub(crate) since: u16,
    pub(crate) summary: &'static str,
    /// Groups of arguments of the query.
    pub(crate) query: &'static [&'static [Arg]],
    /// Whether the query may have arguments that nobody knows here.
    pub(crate) open_query: bool,
    pub(crate) body: Body,
    pub(crate) status: u16,
    pub(crate) answer: Answer,
    /// Other statuses of success.
    pub(crate) also: &'static [u16],
}

const fn op(method: &'static str, path: &'static str, since: u16, summary: &'static str, status: u16, answer: Answer) -> Op {
    Op { method, path, since, summary, query: &[], open_query: false, body: Body::Nothing, status, answer, also: &[] }
}

/// A read; 200.
pub(crate) const fn get(path: &'static str, since: u16, summary: &'static str, answer: Answer) -> Op {
    op("get", path, since, summary, 200, answer)
}

/// A creation; 201 with the resource.
pub(crate) const fn post(path: &'static str, since: u16, summary: &'static str, answer: Answer) -> Op {
    op("post", path, since, summary, 201, answer)
}

/// A request; 202 without a body.
pub(crate) const fn put(path: &'static str, since: u16, summary: &'static str) -> Op {
    op("put", path, since, summary, 202, Answer::Empty)
}

/// A change; 200 with the resource.
pub(crate) const fn patch(path: &'static str, since: u16, summary: &'static str, fields: &'static [Field], answer: Answer) -> Op {
    op("patch", path, since, summary, 200, answer).body(Body::Patch(fields))
}

/// A removal; 204.
pub(crate) const fn delete(path: &'static str, since: u16, summary: &'static str) -> Op {
    op("delete", path, since, summary, 204, Answer::Empty)
}

impl Op {
    pub(crate) const fn query(mut self, query: &'static [&'static [Arg]]) -> Self {
        self.query = query;
        self
    }

    pub(crate) const fn any_query(mut self) -> Self {
        self.open_query = true;
        self
    }

    pub(crate) const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub(crate) const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) const fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    pub(crate) const fn also(mut self, also: &'static [u16]) -> Self {
        self.also = also;
        self
    }

    pub(crate) const fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Whether it belongs to Ironic's part.
    pub(crate) fn is_ironic(&self) -> bool {
        !self.path.starts_with("/wrought") && self.path != "/openapi.json"
    }

    /// The arguments of the query, those included that may stand in the body as well.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'static Arg> {
        self.query.iter().copied().flatten()
    }
}

const DIRECTIONS: &[&str] = &["asc", "desc"];

/// What every list takes.
pub(crate) const PAGE: &[Arg] = &[
    arg("limit", 0, Type::Int(1, 1_000_000), "The most items on the page; the host has a limit of its own, 1000 by default."),
    arg("marker", 0, Type::Uuid, "The last item of the page before."),
    arg("sort_key", 0, Type::Short(64), "The field to sort by; not every field can be."),
    arg("sort_dir", 0, Type::OneOf(DIRECTIONS), "The direction."),
];
/// Which fields are shown, as old as the route.
pub(crate) const FIELDS: &[Arg] = &[arg("fields", 0, Type::Csv, "The fields to show; all or a few by default. Not together with detail.")];
/// The same, since 1.8.
pub(crate) const FIELDS_8: &[Arg] =
    &[arg("fields", 8, Type::Csv, "The fields to show; all or a few by default. Not together with detail.")];
/// Whether all fields are shown, as old as the route.
pub(crate) const DETAIL: &[Arg] = &[arg("detail", 0, Type::Bool, "Whether all fields are shown.")];
/// The same, since 1.43.
pub(crate) const DETAIL_43: &[Arg] = &[arg("detail", 43, Type::Bool, "Whether all fields are shown.")];
