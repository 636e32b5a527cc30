//! What the text forms of this module look like in the JSON schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Makes a type that stands for a text form in `#[schemars(with)]`.
macro_rules! text_form {
    ($name:ident, $title:literal, $type:tt, $pattern:literal, $example:literal) => {
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "title": $title, "type": $type, "pattern": $pattern, "examples": [$example]
                })
            }
        }
    };
}

text_form!(
    DurationText,
    "duration",
    "string",
    "^([0-9]+(d|h|m|s|ms))+$",
    "90s"
);
text_form!(
    OffDurationText,
    "duration or \"off\"",
    "string",
    "^(([0-9]+(d|h|m|s|ms))+|off)$",
    "90s"
);
text_form!(
    SizeText,
    "size",
    ["string", "integer"],
    "^[0-9]+(B|KiB|MiB|GiB)?$",
    "64KiB"
);
text_form!(
    OffSizeText,
    "size or \"off\"",
    ["string", "integer"],
    "^([0-9]+(B|KiB|MiB|GiB)?|off)$",
    "64KiB"
);
text_form!(ModeText, "permissions", "string", "^[0-7]{1,4}$", "0660");
