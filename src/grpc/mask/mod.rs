//! Update masks (AIP-134): which fields of a message an update writes.
//!
//! An update is applied to the resource as its owner would send it, by path, and
//! the result is read like a new one. So an update can say nothing that a
//! creation could not say, and has no rules of its own.

mod event_type_fields;
mod event_type_patch;
mod tenant_patch;
mod webhook_fields;
mod webhook_patch;

pub(super) use event_type_patch::EventTypePatch;
pub(super) use tenant_patch::TenantPatch;
pub(super) use webhook_patch::WebhookPatch;

use prost_types::FieldMask;

use crate::domain::error::Faults;

const AT: &str = "update_mask";
/// How much of a path that nobody knows is quoted back.
const QUOTED_CHARS: usize = 80;

/// One field of a message `M` that an update can write.
struct Field<M: 'static> {
    /// Its path, such as `destination.http.url`.
    path: &'static str,
    /// Whether an update without a mask writes it where it is set.
    leaf: bool,
    /// Whether a client that sent this message set it.
    is_set: fn(&M) -> bool,
    /// Makes it in the first message what it is in the second, absent included.
    write: fn(&mut M, &M),
}

/// What an update writes.
enum Mask<M: 'static> {
    /// Every one of these that is set.
    SetFields(&'static [Field<M>]),
    /// All of them: what is not set gets its default.
    All,
    /// These.
    Paths(Vec<Target<M>>),
}

/// What one path of a mask means.
enum Target<M: 'static> {
    /// A field of the message.
    Field(&'static Field<M>),
    /// One label of it.
    Label(WriteLabel<M>, String),
}

/// Makes one label in the first message what it is in the second, absent included.
type WriteLabel<M> = fn(&mut M, &M, &str);

/// What a message lets masks name beside its writable fields.
struct Others<M: 'static> {
    /// Paths that cannot be written, and all below them.
    read_only: &'static [&'static str],
    /// Paths that are neither written nor refused.
    ignored: &'static [&'static str],
    /// How one label is written, which `labels.KEY` names; none where there are no labels.
    label: Option<WriteLabel<M>>,
}

impl<M: Clone> Mask<M> {
    /// Writes what it names of `given`.
    fn write(&self, to: &mut M, given: &M) {
        match self {
            Self::All => to.clone_from(given),
            Self::SetFields(fields) => {
                for field in fields.iter().filter(|field| field.leaf && (field.is_set)(given)) {
                    (field.write)(to, given);
                }
            }
            Self::Paths(targets) => {
                for target in targets {
                    match target {
                        Target::Field(field) => (field.write)(to, given),
                        Target::Label(write, key) => write(to, given, key),
                    }
                }
            }
        }
    }
}

fn read_mask<M>(
    mask: Option<&FieldMask>,
    fields: &'static [Field<M>],
    others: &Others<M>,
    faults: &mut Faults,
) -> Mask<M> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    match paths {
        [] => return Mask::SetFields(fields),
        [all] if all == "*" => return Mask::All,
        _several => {}
    }
    let mut targets = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(field) = fields.iter().find(|field| field.path == path) {
            targets.push(Target::Field(field));
        } else if let (Some(key), Some(write)) = (path.strip_prefix("labels."), others.label) {
            targets.push(Target::Label(write, key.to_owned()));
        } else if others.read_only.iter().any(|known| is_at_or_below(path, known)) {
            faults.invalid(AT, format!("names {}, which cannot be written", quoted(path)));
        } else if path == "*" {
            faults.invalid(AT, "has * beside other paths");
        } else if !others.ignored.contains(&path.as_str()) {
            faults.invalid(AT, format!("has no field of path {}", quoted(path)));
        }
    }
    Mask::Paths(targets)
}

fn is_at_or_below(path: &str, known: &str) -> bool {
    path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn quoted(path: &str) -> String {
    let short: String = path.chars().take(QUOTED_CHARS).collect();
    format!("{short:?}")
}

/// Whether a value differs from what an absent one is.
fn is_set<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

/// A field of the message itself. `leaf` where an update without a mask writes it whole.
macro_rules! own {
    ($field:ident, leaf: $leaf:literal) => {
        $crate::grpc::mask::Field {
            path: stringify!($field),
            leaf: $leaf,
            is_set: |message| $crate::grpc::mask::is_set(&message.$field),
            write: |to, from| to.$field.clone_from(&from.$field),
        }
    };
}

/// A field of a part of the message. Nothing is not written into a part that is
/// not there: that would make the part.
macro_rules! part {
    ($part:ident.$field:ident, leaf: $leaf:literal) => {
        $crate::grpc::mask::Field {
            path: concat!(stringify!($part), ".", stringify!($field)),
            leaf: $leaf,
            is_set: |message| {
                message.$part.as_ref().is_some_and(|part| $crate::grpc::mask::is_set(&part.$field))
            },
            write: |to, from| {
                let value = from.$part.as_ref().map(|part| part.$field.clone()).unwrap_or_default();
                if to.$part.is_some() || $crate::grpc::mask::is_set(&value) {
                    to.$part.get_or_insert_default().$field = value;
                }
            },
        }
    };
}

use {own, part};
