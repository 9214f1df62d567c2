//! Messages of kuksa.val.v2 as far as they are used, with the numbers of `kuksa/val/v2/{val,types}.proto`.

use std::collections::HashMap;

/// Package and service.
pub const SERVICE: &str = "kuksa.val.v2.VAL";

/// Asks for metadata of a signal or of all below a branch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListMetadataRequest {
    #[prost(string, tag = "1")]
    pub root: String,
    #[prost(string, tag = "2")]
    pub filter: String,
}

/// Its answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListMetadataResponse {
    #[prost(message, repeated, tag = "1")]
    pub metadata: Vec<Metadata>,
}

/// Name, unit and range of a signal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    #[prost(string, tag = "9")]
    pub path: String,
    #[prost(string, tag = "16")]
    pub unit: String,
    #[prost(message, optional, tag = "18")]
    pub min: Option<Value>,
    #[prost(message, optional, tag = "19")]
    pub max: Option<Value>,
}

/// Asks for values now and whenever they change.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    pub signal_paths: Vec<String>,
    /// Messages that the broker keeps for a slow reader.
    #[prost(uint32, tag = "2")]
    pub buffer_size: u32,
}

/// Values that have changed, by path.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubscribeResponse {
    #[prost(map = "string, message", tag = "1")]
    pub entries: HashMap<String, Datapoint>,
}

/// A value and its time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Datapoint {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

/// `google.protobuf.Timestamp`: time since the Unix epoch.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A value of any type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    #[prost(oneof = "Typed", tags = "11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25, 26, 27, 28")]
    pub typed: Option<Typed>,
}

/// The types of values.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Typed {
    #[prost(string, tag = "11")]
    Text(String),
    #[prost(bool, tag = "12")]
    Bool(bool),
    #[prost(sint32, tag = "13")]
    Int32(i32),
    #[prost(sint64, tag = "14")]
    Int64(i64),
    #[prost(uint32, tag = "15")]
    Uint32(u32),
    #[prost(uint64, tag = "16")]
    Uint64(u64),
    #[prost(float, tag = "17")]
    Float(f32),
    #[prost(double, tag = "18")]
    Double(f64),
    #[prost(message, tag = "21")]
    Texts(Texts),
    #[prost(message, tag = "22")]
    Bools(Bools),
    #[prost(message, tag = "23")]
    Int32s(Int32s),
    #[prost(message, tag = "24")]
    Int64s(Int64s),
    #[prost(message, tag = "25")]
    Uint32s(Uint32s),
    #[prost(message, tag = "26")]
    Uint64s(Uint64s),
    #[prost(message, tag = "27")]
    Floats(Floats),
    #[prost(message, tag = "28")]
    Doubles(Doubles),
}

/// Lists of values: their name in the protocol, their type here and in protobuf.
macro_rules! lists {
    ($($protocol:literal $name:ident $kind:ident $type:ty;)*) => {$(
        #[doc = concat!("`", $protocol, "`.")]
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct $name {
            #[prost($kind, repeated, tag = "1")]
            pub values: Vec<$type>,
        }
    )*};
}

lists! {
    "StringArray" Texts string String;
    "BoolArray" Bools bool bool;
    "Int32Array" Int32s sint32 i32;
    "Int64Array" Int64s sint64 i64;
    "Uint32Array" Uint32s uint32 u32;
    "Uint64Array" Uint64s uint64 u64;
    "FloatArray" Floats float f32;
    "DoubleArray" Doubles double f64;
}

impl Datapoint {
    /// Its time in Unix ms; `None` if it states none, or one before 1970.
    pub fn time_ms(&self) -> Option<u64> {
        let Timestamp { seconds, nanos } = self.timestamp?;
        let ms = u64::try_from(nanos).ok()? / 1_000_000;
        u64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(ms)
    }
}

impl Value {
    /// Its numbers: one, or a list's; booleans are 0 and 1. `None` for text.
    pub fn numbers(&self) -> Option<Numbers> {
        let list = |values: Vec<f64>| Some(Numbers::List(values));
        match self.typed.as_ref()? {
            Typed::Text(_) | Typed::Texts(_) => None,
            Typed::Bool(value) => Some(Numbers::One(f64::from(u8::from(*value)))),
            Typed::Int32(value) => Some(Numbers::One(f64::from(*value))),
            Typed::Int64(value) => Some(Numbers::One(*value as f64)),
            Typed::Uint32(value) => Some(Numbers::One(f64::from(*value))),
            Typed::Uint64(value) => Some(Numbers::One(*value as f64)),
            Typed::Float(value) => Some(Numbers::One(f64::from(*value))),
            Typed::Double(value) => Some(Numbers::One(*value)),
            Typed::Bools(all) => list(all.values.iter().map(|value| f64::from(u8::from(*value))).collect()),
            Typed::Int32s(all) => list(all.values.iter().map(|value| f64::from(*value)).collect()),
            Typed::Int64s(all) => list(all.values.iter().map(|value| *value as f64).collect()),
            Typed::Uint32s(all) => list(all.values.iter().map(|value| f64::from(*value)).collect()),
            Typed::Uint64s(all) => list(all.values.iter().map(|value| *value as f64).collect()),
            Typed::Floats(all) => list(all.values.iter().map(|value| f64::from(*value)).collect()),
            Typed::Doubles(all) => list(all.values.clone()),
        }
    }
}

/// One number, or several.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// A signal of one value.
    One(f64),
    /// A signal that is a list.
    List(Vec<f64>),
}
