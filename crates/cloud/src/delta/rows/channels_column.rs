//! The column of extra channels: its values, written and read.

use arrow::{
    array::{
        Array, Float64Builder, ListArray, ListBuilder, StringArray, StringBuilder, StructArray,
        StructBuilder, cast::AsArray,
    },
    datatypes::{DataType, Field, Float64Type},
};
use serde::Serialize;
use std::sync::Arc;
use voltmesh_telemetry::{Channel, ChannelCount, ChannelValue};

/// An extra channel's value in a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArchivedChannel {
    /// Its name.
    pub name: String,
    /// Its unit in UCUM.
    pub unit: String,
    /// Step of its values, in its unit.
    pub resolution: f64,
    /// In its unit; `None` if it is unknown.
    pub value: Option<f64>,
}

impl ArchivedChannel {
    pub(super) fn of(value: &ChannelValue) -> Self {
        let channel = &value.channel;
        Self {
            name: channel.name().to_owned(),
            unit: channel.unit().to_owned(),
            resolution: channel.resolution().value(1),
            value: value.reading().ok(),
        }
    }

    pub(super) fn value(&self) -> Option<ChannelValue> {
        // The shortest decimal digits that give this number.
        let resolution = self.resolution.to_string().parse().ok()?;
        let channel = Channel::new(&self.name, &self.unit, resolution).ok()?;
        let count = self.value.map_or(Some(ChannelCount::default()), |value| resolution.count(value))?;
        Some(ChannelValue { channel: Arc::new(channel), count })
    }
}

/// Builds the column of extra channels.
pub(super) struct ChannelsBuilder(ListBuilder<StructBuilder>);

impl ChannelsBuilder {
    pub fn new(item: Arc<Field>) -> Self {
        let DataType::Struct(fields) = item.data_type() else { unreachable!("a channel is a struct") };
        let values = StructBuilder::from_fields(fields.clone(), 0);
        Self(ListBuilder::new(values).with_field(item))
    }

    pub fn append(&mut self, channels: impl ExactSizeIterator<Item = ArchivedChannel>) {
        let any = channels.len() > 0;
        let values = self.0.values();
        for channel in channels {
            let ours = "the builder has our fields";
            let Some(name) = values.field_builder::<StringBuilder>(0) else { unreachable!("{ours}") };
            name.append_value(&channel.name);
            let Some(unit) = values.field_builder::<StringBuilder>(1) else { unreachable!("{ours}") };
            unit.append_value(&channel.unit);
            let Some(step) = values.field_builder::<Float64Builder>(2) else { unreachable!("{ours}") };
            step.append_value(channel.resolution);
            let Some(value) = values.field_builder::<Float64Builder>(3) else { unreachable!("{ours}") };
            value.append_option(channel.value);
            values.append(true);
        }
        self.0.append(any);
    }

    pub fn finish(mut self) -> ListArray {
        self.0.finish()
    }
}

/// Extra channels of each row; a null is none.
pub(super) fn channels(column: &ListArray) -> Option<Vec<Vec<ArchivedChannel>>> {
    let of = |row: usize| {
        if column.is_null(row) {
            return Some(Vec::new());
        }
        let values = column.value(row);
        let values: &StructArray = values.as_struct_opt()?;
        let (name, unit): (&StringArray, &StringArray) = (
            values.column_by_name("name")?.as_string_opt()?,
            values.column_by_name("unit")?.as_string_opt()?,
        );
        let double = |name| values.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let (step, value) = (double("resolution")?, double("value")?);
        let one = |at: usize| ArchivedChannel {
            name: name.value(at).to_owned(),
            unit: unit.value(at).to_owned(),
            resolution: step.value(at),
            value: value.is_valid(at).then(|| value.value(at)),
        };
        Some((0..values.len()).map(one).collect())
    };
    (0..column.len()).map(of).collect()
}
