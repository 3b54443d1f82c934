//! Where Flumen answers otherwise than Apache Kafka 4.2.0, and why: the list of the README.

use super::tree::Tree;

pub struct Known {
    /// Name of the request, or "" for any.
    pub request: &'static str,
    /// Where in the answer, without positions in lists; or a part of it.
    pub path: &'static str,
    pub is_it: fn(flumen: &Tree, kafka: &Tree) -> bool,
    /// For whoever reads this list.
    #[allow(dead_code, reason = "the test is about what differs, not why")]
    pub why: &'static str,
}

pub const KNOWN: &[Known] = &[
    Known {
        request: "ApiVersions",
        path: "ApiKeys",
        is_it: |flumen, kafka| matches!((flumen, kafka), (Tree::Number(ours), Tree::Number(theirs)) if ours < theirs),
        why: "APIs that are not served yet are not advertised",
    },
    Known {
        request: "ApiVersions",
        path: "Features",
        is_it: |_, _| true,
        why: "features are advertised once what they promise is served",
    },
    Known {
        request: "CreateTopics",
        path: "Topics.Configs.ConfigSource",
        is_it: |flumen, kafka| (flumen, kafka) == (&Tree::Number(5), &Tree::Number(3)),
        why: "a fresh Apache Kafka sets min.insync.replicas for the cluster, for eligible leader replicas (KIP-966), which are not here yet",
    },
    Known {
        request: "AlterConfigs",
        path: "Responses.Error",
        is_it: refused_where_kafka_keeps_it,
        why: "a broker key that nobody knows is refused; Apache Kafka keeps it for its plugins",
    },
    Known {
        request: "IncrementalAlterConfigs",
        path: "Responses.Error",
        is_it: refused_where_kafka_keeps_it,
        why: "a broker key that nobody knows is refused; Apache Kafka keeps it for its plugins",
    },
    Known {
        request: "DescribeConfigs",
        path: "Configs.Documentation",
        is_it: |flumen, kafka| *flumen == Tree::Null && matches!(kafka, Tree::Text(_)),
        why: "the texts are Apache Kafka's",
    },
    Known {
        request: "Produce",
        path: "PartitionResponses.ErrorMessage",
        is_it: |flumen, kafka| (flumen, kafka) == (&Tree::text("<words>"), &Tree::Null),
        why: "a record set that is not one batch is refused with a reason",
    },
];

fn refused_where_kafka_keeps_it(flumen: &Tree, kafka: &Tree) -> bool {
    let code = (flumen, kafka) == (&Tree::Number(42), &Tree::Number(0));
    code || (flumen, kafka) == (&Tree::text("<words>"), &Tree::Null)
}

/// Whether Apache Kafka has failed inside: UNKNOWN_SERVER_ERROR for what a client may not ask (a topic without name or id, the id zero),
/// where Flumen names the error.
pub fn has_failed_inside(answer: &Tree) -> bool {
    match answer {
        Tree::Text(text) => text == super::sides::NO_ANSWER,
        Tree::List(items) => items.iter().any(has_failed_inside),
        Tree::Struct(fields) => {
            fields.iter().any(|(name, value)| (name == "ErrorCode" && *value == Tree::Number(-1)) || has_failed_inside(value))
        }
        _ => false,
    }
}
