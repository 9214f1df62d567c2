use std::fmt;

/// A reason code of MQTT 5 (2.4), as the peer sees it. Below 0x80 is success.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Reason = Reason($code);)*

            /// The name in the standard.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown reason",
                }
            }
        }
    };
}

reasons! {
    /// Done; also the normal end of a connection.
    SUCCESS = 0x00, "success";
    /// Accepted, but nobody listens.
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    /// There was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11, "no subscription existed";
    /// None of the others.
    UNSPECIFIED = 0x80, "unspecified error";
    /// Bytes that are no packet.
    MALFORMED_PACKET = 0x81, "malformed packet";
    /// A packet that may not come now, or not like this.
    PROTOCOL_ERROR = 0x82, "protocol error";
    /// The receiver's own rules forbid it.
    IMPLEMENTATION_SPECIFIC = 0x83, "implementation specific error";
    /// Neither MQTT 5 nor 3.1.1.
    UNSUPPORTED_VERSION = 0x84, "unsupported protocol version";
    /// A client id that cannot be used.
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "client identifier not valid";
    /// The peer may not do this.
    NOT_AUTHORIZED = 0x87, "not authorized";
    /// The server is not ready.
    SERVER_UNAVAILABLE = 0x88, "server unavailable";
    /// Too many sessions; try another server.
    SERVER_BUSY = 0x89, "server busy";
    /// The server stops.
    SERVER_SHUTTING_DOWN = 0x8b, "server shutting down";
    /// Authentication beyond the certificate is not offered.
    BAD_AUTHENTICATION_METHOD = 0x8c, "bad authentication method";
    /// One and a half times the keep-alive passed in silence.
    KEEP_ALIVE_TIMEOUT = 0x8d, "keep alive timeout";
    /// The same identity and client id connected again.
    SESSION_TAKEN_OVER = 0x8e, "session taken over";
    /// Not a filter, or not one for this peer.
    TOPIC_FILTER_INVALID = 0x8f, "topic filter invalid";
    /// Not a topic.
    TOPIC_NAME_INVALID = 0x90, "topic name invalid";
    /// More QoS 1 publishes in flight than allowed.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "receive maximum exceeded";
    /// Topic aliases are not used here.
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    /// Larger than the announced maximum.
    PACKET_TOO_LARGE = 0x95, "packet too large";
    /// A limit is reached: nothing was stored, come back later. The server's word for a transient failure.
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    /// An operator ended it; also a certificate that was revoked meanwhile.
    ADMINISTRATIVE_ACTION = 0x98, "administrative action";
    /// The payload is not what the topic asks for.
    PAYLOAD_FORMAT_INVALID = 0x99, "payload format invalid";
    /// Retained messages are not kept.
    RETAIN_NOT_SUPPORTED = 0x9a, "retain not supported";
    /// QoS 2 is not spoken.
    QOS_NOT_SUPPORTED = 0x9b, "QoS not supported";
    /// Use another server for now.
    USE_ANOTHER_SERVER = 0x9c, "use another server";
    /// Shared subscriptions are not kept.
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e, "shared subscriptions not supported";
    /// Connected too often.
    CONNECTION_RATE_EXCEEDED = 0x9f, "connection rate exceeded";
    /// Subscription identifiers are not kept.
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xa1, "subscription identifiers not supported";
    /// No filters with + or #.
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xa2, "wildcard subscriptions not supported";
}

impl Reason {
    /// What to tell a peer of a reason that says little by itself; empty if it says enough.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Reason::MALFORMED_PACKET => "the packet is not written as MQTT 5 has it",
            Reason::PROTOCOL_ERROR => "this packet may not come now, or not like this",
            Reason::RECEIVE_MAXIMUM_EXCEEDED => {
                "more publishes without PUBACK than CONNACK's Receive Maximum: wait for some"
            }
            Reason::TOPIC_ALIAS_INVALID => "topic aliases are not offered: send the topic",
            Reason::PACKET_TOO_LARGE => "the packet is larger than CONNACK's Maximum Packet Size",
            Reason::KEEP_ALIVE_TIMEOUT => {
                "nothing came for one and a half times the keep-alive: send PINGREQ"
            }
            Reason::SESSION_TAKEN_OVER => {
                "the same certificate connected with the same client id: give each client its own, or none"
            }
            Reason::SERVER_SHUTTING_DOWN => "the server stops: use another one, or connect again later",
            _ => "",
        }
    }

    /// Whether the standard counts it as success.
    pub fn is_success(self) -> bool {
        self.0 < 0x80
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02x})", self.name(), self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A reason with what it is about, for the peer's eyes. MQTT 5 carries both, MQTT 3.1.1 neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason code.
    pub reason: Reason,
    /// What, where and the remedy, as the reason string of MQTT 5; cut at 512 bytes. Empty: the code says enough.
    pub why: String,
}

impl Refusal {
    /// With a text.
    pub fn new(reason: Reason, why: impl Into<String>) -> Refusal {
        Refusal { reason, why: why.into() }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, why: String::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.why.is_empty() { self.reason.fmt(f) } else { write!(f, "{}: {}", self.reason, self.why) }
    }
}
