//! The schema of personal data: what an event carries before it is sealed, marked so that nobody
//! takes the marker away unseen.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Personal;

impl<T: JsonSchema> JsonSchema for Personal<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Personal_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        // A value whose subject was forgotten is gone.
        json_schema!({
            "x-personal": true,
            "type": "object",
            "properties": {
                "$personal": {
                    "type": "object",
                    "properties": { "subject": { "type": "string" }, "value": value },
                    "required": ["subject"],
                },
            },
            "required": ["$personal"],
        })
    }
}
