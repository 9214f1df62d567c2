//! Extra channels of a JSON sample.

use super::seeds::Number;
use crate::{Channel, ChannelCount, ChannelValue, MAX_CHANNELS, Reading, Resolution, Unknown};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt, sync::Arc};

/// Extra channels with their definitions, in any order.
pub(super) struct Channels;

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChannel<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    resolution: f64,
    value: ChannelNumber,
}

/// Its value in its unit.
struct ChannelNumber(Reading<f64>);

impl<'de> Deserialize<'de> for ChannelNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Number(|value| Some(ChannelNumber(value))).deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Channels {
    type Value = Vec<ChannelValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Channels {
    type Value = Vec<ChannelValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of channels, each with name, unit, resolution and value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values: Vec<ChannelValue> = Vec::new();
        let mut count = 0;
        while let Some(one) = seq.next_element::<OneChannel<'_>>()? {
            count += 1;
            if count > MAX_CHANNELS {
                return Err(de::Error::custom(format!("has more than {MAX_CHANNELS} channels")));
            }
            // The shortest decimal digits that give this number.
            let resolution = one.resolution.to_string().parse::<Resolution>().map_err(de::Error::custom)?;
            let channel = Channel::new(&one.name, &one.unit, resolution).map_err(de::Error::custom)?;
            let out_of_range = ChannelCount::unknown(Unknown::OutOfRange);
            let count = match one.value.0 {
                Ok(value) => resolution.count(value).unwrap_or(out_of_range),
                Err(Unknown::NotSent) => continue,
                Err(cause) => ChannelCount::unknown(cause),
            };
            values.push(ChannelValue { channel: Arc::new(channel), count });
        }
        values.sort_by(|a, b| a.channel.cmp(&b.channel));
        let twice = values.windows(2).find(|pair| pair[0].channel.name() == pair[1].channel.name());
        if let Some([one, ..]) = twice {
            return Err(de::Error::custom(format!("channel {:?} is there twice", one.channel.name())));
        }
        Ok(values)
    }
}
