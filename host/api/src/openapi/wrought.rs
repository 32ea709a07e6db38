//! Wrought's own API.

use crate::openapi::describe::{Answer, Arg, Body, Op, Type, arg, delete, get, needed, post, put};

const REASON: &[Arg] = &[needed("reason", 0, Type::Text, "Why; the audit keeps it.")];
const MAY_REASON: &[Arg] = &[arg("reason", 0, Type::Text, "Why; the audit keeps it.")];
const GRANT: &[Arg] = &[
    needed("grant", 0, Type::Texts, "Capabilities such as power, power.get or http=GET@https://files.example.com; 100 at most."),
    arg("reason", 0, Type::Text, "Why; the audit keeps it."),
];
const VERSION: &[Arg] = &[
    arg("version", 0, Type::Text, "The version or its digest; not together with digest."),
    arg("digest", 0, Type::Text, "The version's digest."),
    arg("reason", 0, Type::Text, "Why; the audit keeps it."),
];
const ACTIVATE: &[Arg] = &[
    arg("version", 0, Type::Text, "The version or its digest, the newest if not given; not together with digest."),
    arg("digest", 0, Type::Text, "The version's digest."),
    arg("grant", 0, Type::Texts, "Capabilities that are granted beside those that were granted before; 100 at most."),
    arg("reason", 0, Type::Text, "Why; the audit keeps it."),
];
const CANARY: &[Arg] = &[
    arg("version", 0, Type::Text, "The version or its digest, the newest if not given; not together with digest."),
    arg("digest", 0, Type::Text, "The version's digest."),
    arg("grant", 0, Type::Texts, "Capabilities that are granted beside those that were granted before; 100 at most."),
    arg("percent", 0, Type::Int(1, 100), "The share of new operations."),
    arg("selector", 0, Type::Object, "The nodes that take part: traits, owner, resource_class, conductor_group."),
    arg("bounds", 0, Type::Object, "When it is stopped: max_failure_percent, window, min_operations."),
    arg("reason", 0, Type::Text, "Why; the audit keeps it."),
];
const EVENTS: &[Arg] = &[
    arg("kind", 0, Type::Csv, "Events of these kinds."),
    arg("after", 0, Type::Int(0, i64::MAX), "Events after this one, the oldest first."),
    arg("limit", 0, Type::Int(1, 1_000_000), "The most events in the answer."),
    arg("wait", 0, Type::Int(0, 60), "Seconds to wait for an event when there is none."),
];
const AUDIT: &[Arg] = &[
    arg("object", 0, Type::Text, "Records about this."),
    arg("verb", 0, Type::Text, "Records of this verb."),
    arg("after", 0, Type::Int(0, i64::MAX), "Records after this one."),
    arg("limit", 0, Type::Int(1, 1_000_000), "The most records in the answer."),
];

/// The routes.
pub(crate) const OPS: &[Op] = &[
    get("/openapi.json", 0, "This document.", Answer::Free).any_query(),
    get("/wrought/v1/stats", 0, "Figures of the running host.", Answer::Free),
    get("/wrought/v1/drivers", 0, "Lists drivers with their versions.", Answer::Keys(&["drivers"])),
    get("/wrought/v1/drivers/{name}", 0, "Shows a driver, its versions with their reports, and what was refused.", Answer::Free),
    put("/wrought/v1/drivers/{name}", 0, "Uploads a version; its signature comes as the header X-Wrought-Signature.")
        .status(201)
        .answer(Answer::Free)
        .body(Body::Bytes),
    delete("/wrought/v1/drivers/{name}/versions/{digest}", 0, "Removes a version that nothing refers to."),
    get("/wrought/v1/drivers/{name}/limits", 0, "Shows the limits of a driver's calls.", Answer::Free),
    put("/wrought/v1/drivers/{name}/limits", 0, "Sets limits in place of those that were set.")
        .status(200)
        .answer(Answer::Free)
        .body(Body::Named("Limits", true)),
    get("/wrought/v1/drivers/{name}/events", 0, "What was decided about a driver.", Answer::Keys(&["audit"])).query(&[AUDIT]),
    decision("/wrought/v1/drivers/{name}/activate", "A version serves all operations from now on.", ACTIVATE),
    decision("/wrought/v1/drivers/{name}/rollback", "The version before serves again.", VERSION),
    decision("/wrought/v1/drivers/{name}/pause", "No new operation begins on the driver.", MAY_REASON),
    decision("/wrought/v1/drivers/{name}/resume", "New operations begin again.", MAY_REASON),
    decision("/wrought/v1/drivers/{name}/grant", "Grants capabilities.", GRANT),
    decision("/wrought/v1/drivers/{name}/ungrant", "Takes capabilities away.", GRANT),
    decision("/wrought/v1/drivers/{name}/canary", "A version serves a share of new operations.", CANARY),
    decision("/wrought/v1/drivers/{name}/canary", "The trial ends.", MAY_REASON).method("delete"),
    decision(
        "/wrought/v1/revocations",
        "Revokes a version everywhere.",
        &[
            needed("digest", 0, Type::Text, "The version's digest."),
            needed("reason", 0, Type::Text, "Shown on every node that runs on it."),
            arg("rollback", 0, Type::Named("StrictBoolean"), "Whether the versions before it serve again."),
        ],
    ),
    get("/wrought/v1/audit", 0, "Who decided what, and what drivers were denied.", Answer::Keys(&["audit"])).query(&[AUDIT]),
    get("/wrought/v1/artifacts", 0, "Lists artifacts.", Answer::Keys(&["artifacts"])),
    get("/wrought/v1/artifacts/{name}", 0, "Shows an artifact, by its name or digest.", Answer::Free),
    post("/wrought/v1/artifacts/{name}", 0, "Uploads an artifact.", Answer::Free)
        .query(&[&[arg("digest", 0, Type::Text, "What the bytes must come to: sha256: and 64 digits.")]])
        .body(Body::Bytes),
    delete("/wrought/v1/artifacts/{name}", 0, "Removes an artifact that no URL in force leads to."),
    get("/wrought/v1/artifacts/{name}/content", 0, "The bytes, for whoever has the URL; Range is known.", Answer::Bytes)
        .query(&[&[
            arg("expires", 0, Type::Int(0, i64::MAX), "Until when the URL may be used."),
            arg("node", 0, Type::Uuid, "The node that it was made for."),
            arg("signature", 0, Type::Text, "The host's signature."),
        ]])
        .any_query()
        .also(&[206]),
    get("/wrought/v1/tokens", 0, "Lists tokens, without themselves.", Answer::Keys(&["tokens"])),
    post("/wrought/v1/tokens", 0, "Makes a token, which is shown once.", Answer::Keys(&["name", "role", "token"])).body(Body::Keys(&[
        needed("name", 0, Type::Text, "Its name."),
        needed("role", 0, Type::OneOf(&["reader", "member", "admin"]), "What its bearer may do."),
        arg("project", 0, Type::Text, "The project that its bearer is bound to."),
        arg("expires_at", 0, Type::Moment, "Until when it is in force."),
    ])),
    delete("/wrought/v1/tokens/{name}", 0, "Revokes a token.").status(200).answer(Answer::Free),
    get("/wrought/v1/locks", 0, "Lists shared locks.", Answer::Keys(&["locks"])),
    decision("/wrought/v1/locks/{name}", "Breaks a lock.", REASON).method("delete"),
    get("/wrought/v1/webhooks", 0, "How far each webhook is.", Answer::Keys(&["webhooks"])),
    get("/wrought/v1/events", 0, "What happened to all nodes.", Answer::Keys(&["events", "last", "dropped"])).query(&[EVENTS]),
    get("/wrought/v1/journal", 0, "Lists recorded operations, the latest first.", Answer::Keys(&["operations"])).query(&[&[
        arg("node", 0, Type::Text, "Operations of this node."),
        arg("before", 0, Type::Moment, "Operations that began before this."),
        arg("limit", 0, Type::Int(1, 1_000_000), "The most operations in the answer."),
    ]]),
    get("/wrought/v1/journal/{which}", 0, "Shows an operation and its calls.", Answer::Keys(&["operation", "calls"])).query(&[&[arg(
        "detail",
        0,
        Type::Bool,
        "Whether the records are shown.",
    )]]),
    get("/wrought/v1/journal/{which}/export", 0, "A file for wrought replay.", Answer::Bytes).query(&[&[arg(
        "components",
        0,
        Type::Bool,
        "Whether the drivers are in it.",
    )]]),
    get("/wrought/v1/nodes/{node}/events", 0, "What happened to a node.", Answer::Keys(&["events", "last", "dropped"])).query(&[EVENTS]),
    get("/wrought/v1/nodes/{node}/why", 0, "What a node waits for, or why it failed, and what to do.", Answer::Free),
    decision(
        "/wrought/v1/nodes/{node}/retry",
        "What failed last begins again.",
        &[arg("from_start", 0, Type::Named("StrictBoolean"), "From its beginning, and not from where it failed.")],
    )
    .status(202),
    decision("/wrought/v1/nodes/{node}/cancel", "Ends what waits for its turn.", &[]).body(Body::Nothing),
    decision("/wrought/v1/nodes/{node}/unlock", "Breaks the lock of an operation.", REASON),
];

const fn decision(path: &'static str, summary: &'static str, keys: &'static [Arg]) -> Op {
    post(path, 0, summary, Answer::Free).status(200).body(Body::Keys(keys))
}
