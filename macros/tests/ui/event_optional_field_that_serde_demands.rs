use highwater::Event;

mod as_text {
    pub fn serialize<S: serde::Serializer>(cents: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&cents.unwrap_or(0))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(_: D) -> Result<Option<u64>, D::Error> {
        Ok(None)
    }
}

#[derive(Event)]
#[event(schema)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed {
        #[serde(deserialize_with = "as_text::deserialize")]
        paid: std::option::Option<u64>,
        #[serde(with = "as_text")]
        #[schemars(with = "Option<String>")]
        owed: Option<u64>,
        // These are as their schemas say.
        #[serde(with = "as_text", default)]
        #[schemars(with = "Option<String>")]
        lent: Option<u64>,
        #[serde(with = "as_text")]
        #[schemars(with = "String")]
        lost: Option<u64>,
        #[serde(deserialize_with = "as_text::deserialize")]
        #[schemars(required)]
        kept: Option<u64>,
    },
}

fn main() {}
