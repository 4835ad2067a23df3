//! The expressions rules are made of, in the order the kernel runs them.

use super::wire::Attributes;

/// A 32-bit register. Sixteen of them, side by side, hold the parts of a key.
pub(super) const R0: u32 = 8;
const VERDICT: u32 = 0;

const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const JUMP: i32 = -3;
const RETURN: i32 = -5;

/// What is known of a packet without looking into it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meta {
    InputName = 6,
    OutputName = 7,
    Family = 15,
    Transport = 16,
}

/// A comparison.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relation {
    Equal = 0,
    NotEqual = 1,
}

/// A field of a header: where it begins and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    base: u32,
    offset: u32,
    length: u32,
}

pub(super) const SOURCE_V4: Field = Field { base: 1, offset: 12, length: 4 };
pub(super) const DESTINATION_V4: Field = Field { base: 1, offset: 16, length: 4 };
pub(super) const SOURCE_V6: Field = Field { base: 1, offset: 8, length: 16 };
pub(super) const DESTINATION_V6: Field = Field { base: 1, offset: 24, length: 16 };
/// Where TCP, UDP and SCTP alike have it.
pub(super) const DESTINATION_PORT: Field = Field { base: 2, offset: 2, length: 2 };

/// The same of the sender's.
pub(super) const SOURCE_PORT: Field = Field { base: 2, offset: 0, length: 2 };
/// Who sent a frame, and what it carries.
pub(super) const ETHER_SOURCE: Field = Field { base: 0, offset: 6, length: 6 };
pub(super) const ETHER_KIND: Field = Field { base: 0, offset: 12, length: 2 };
/// The IPv4 address an ARP message tells of.
pub(super) const ARP_SENDER: Field = Field { base: 1, offset: 14, length: 4 };
/// ICMP's and ICMPv6's kind of message.
pub(super) const ICMP_KIND: Field = Field { base: 2, offset: 0, length: 1 };

/// Protocol numbers.
pub(super) const ICMP: u8 = 1;
pub(super) const ICMP6: u8 = 58;

/// Connection states and status bits of connection tracking, as bit masks in the kernel's numbering.
pub(super) const STATE_ESTABLISHED: u32 = 2;
pub(super) const STATE_RELATED: u32 = 4;
pub(super) const STATUS_DNAT: u32 = 32;

/// A rule's expressions.
#[derive(Debug, Clone, Default)]
pub(super) struct Expressions(Attributes);

impl Expressions {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The list attribute's content.
    pub(super) fn list(&self) -> &Attributes {
        &self.0
    }

    fn push(self, name: &str, data: &Attributes) -> Self {
        Self(self.0.nest(1, &Attributes::new().text(1, name).nest(2, data)))
    }

    pub(super) fn load_meta(self, meta: Meta, register: u32) -> Self {
        self.push("meta", &Attributes::new().number(1, register).number(2, meta as u32))
    }

    pub(super) fn load_field(self, field: Field, register: u32) -> Self {
        let data = Attributes::new().number(1, register).number(2, field.base).number(3, field.offset);
        self.push("payload", &data.number(4, field.length))
    }

    pub(super) fn compare(self, register: u32, relation: Relation, value: &[u8]) -> Self {
        let data = Attributes::new().number(1, register).number(2, relation as u32);
        self.push("cmp", &data.nest(3, &Attributes::new().bytes(1, value)))
    }

    fn mask(self, register: u32, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or(0);
        let data = Attributes::new().number(1, register).number(2, register).number(3, length);
        let data = data.nest(4, &Attributes::new().bytes(1, mask));
        self.push("bitwise", &data.nest(5, &Attributes::new().bytes(1, &vec![0; mask.len()])))
    }

    /// Goes on only if the set has the key that begins in `register`.
    pub(super) fn member(self, register: u32, set: &str, relation: Relation) -> Self {
        let data = Attributes::new().text(1, set).number(2, register);
        self.push("lookup", &data.number(5, relation as u32))
    }

    /// Goes on only if the map has the key that begins in `register`; its value replaces the key from `R0` on.
    pub(super) fn look_up(self, register: u32, map: &str) -> Self {
        self.push("lookup", &Attributes::new().text(1, map).number(2, register).number(3, R0))
    }

    pub(super) fn family(self, family: u8) -> Self {
        self.load_meta(Meta::Family, R0).compare(R0, Relation::Equal, &[family])
    }

    /// Goes on only if the packet carries this protocol.
    pub(super) fn protocol(self, number: u8) -> Self {
        self.load_meta(Meta::Transport, R0).compare(R0, Relation::Equal, &[number])
    }

    /// Compares the name of the input or output device.
    pub(super) fn device(self, which: Meta, relation: Relation, name: &str) -> Self {
        self.load_meta(which, R0).compare(R0, relation, &device_name(name))
    }

    /// Goes on only if the name of the input or output device begins so.
    pub(super) fn device_like(self, which: Meta, prefix: &str) -> Self {
        self.load_meta(which, R0).compare(R0, Relation::Equal, prefix.as_bytes())
    }

    /// Lets connection tracking pass a packet by.
    pub(super) fn untracked(self) -> Self {
        self.push("notrack", &Attributes::new())
    }

    /// Goes on only if the field is in the subnet of this address and prefix length.
    pub(super) fn subnet(self, field: Field, network: &[u8], prefix: u8) -> Self {
        let mask = prefix_mask(network.len(), prefix);
        self.load_field(field, R0).mask(R0, &mask).compare(R0, Relation::Equal, network)
    }

    /// Goes on only if the destination address is one of the host's own.
    pub(super) fn local(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const OF_DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        let data = Attributes::new().number(1, R0).number(2, ADDRESS_TYPE).number(3, OF_DESTINATION);
        self.push("fib", &data).compare(R0, Relation::Equal, &LOCAL.to_ne_bytes())
    }

    /// Goes on only if the connection is in one of these states.
    pub(super) fn connection_state(self, states: u32) -> Self {
        self.connection(0, states)
    }

    /// Goes on only if the connection has one of these status bits.
    pub(super) fn connection_status(self, bits: u32) -> Self {
        self.connection(2, bits)
    }

    fn connection(self, key: u32, bits: u32) -> Self {
        let loaded = self.push("ct", &Attributes::new().number(1, R0).number(2, key));
        loaded.mask(R0, &bits.to_ne_bytes()).compare(R0, Relation::NotEqual, &[0; 4])
    }

    /// Sends the connection to the address and port a map lookup left behind.
    pub(super) fn redirect(self, family: u8) -> Self {
        const DNAT: u32 = 1;
        let port = if family == super::wire::IPV4 { R0 + 1 } else { R0 + 4 };
        let data = Attributes::new().number(1, DNAT).number(2, family.into());
        self.push("nat", &data.number(3, R0).number(4, R0).number(5, port).number(6, port))
    }

    /// Sends the connection to the address a map lookup left behind, to the port it was for.
    pub(super) fn redirect_address(self, family: u8) -> Self {
        const DNAT: u32 = 1;
        let data = Attributes::new().number(1, DNAT).number(2, family.into());
        self.push("nat", &data.number(3, R0).number(4, R0))
    }

    /// Writes a port into the packet, and mends the checksum of its protocol.
    pub(super) fn set_port(self, field: Field, port: u16, protocol: u8) -> Self {
        const TCP: u8 = 6;
        const INTERNET_SUM: u32 = 1;
        let sum = if protocol == TCP { 16 } else { 6 };
        let value = Attributes::new().nest(2, &Attributes::new().bytes(1, &port.to_be_bytes()));
        let loaded = self.push("immediate", &value.number(1, R0));
        let data = Attributes::new().number(5, R0).number(2, field.base).number(3, field.offset);
        loaded.push("payload", &data.number(4, field.length).number(6, INTERNET_SUM).number(7, sum))
    }

    pub(super) fn masquerade(self) -> Self {
        self.push("masq", &Attributes::new())
    }

    pub(super) fn counter(self) -> Self {
        self.push("counter", &Attributes::new().bytes(1, &[0; 8]).bytes(2, &[0; 8]))
    }

    pub(super) fn accept(self) -> Self {
        self.verdict(&Attributes::new().number(1, ACCEPT))
    }

    pub(super) fn drop(self) -> Self {
        self.verdict(&Attributes::new().number(1, DROP))
    }

    pub(super) fn leave(self) -> Self {
        self.verdict(&Attributes::new().number(1, RETURN.cast_unsigned()))
    }

    pub(super) fn jump(self, chain: &str) -> Self {
        self.verdict(&Attributes::new().number(1, JUMP.cast_unsigned()).text(2, chain))
    }

    fn verdict(self, verdict: &Attributes) -> Self {
        self.push("immediate", &Attributes::new().number(1, VERDICT).nest(2, &Attributes::new().nest(2, verdict)))
    }
}

/// A device name as the kernel compares it: padded to its sixteen bytes.
pub(super) fn device_name(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    for (to, from) in padded.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    padded
}

fn prefix_mask(length: usize, prefix: u8) -> Vec<u8> {
    let bits = |index: usize| usize::from(prefix).saturating_sub(index * 8).min(8);
    (0..length).map(|index| u8::MAX.checked_shl(8 - u32::try_from(bits(index)).unwrap_or(0)).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_masks() {
        assert_eq!(prefix_mask(4, 0), [0, 0, 0, 0]);
        assert_eq!(prefix_mask(4, 8), [255, 0, 0, 0]);
        assert_eq!(prefix_mask(4, 20), [255, 255, 240, 0]);
        assert_eq!(prefix_mask(4, 32), [255; 4]);
        assert_eq!(prefix_mask(16, 64)[..9], [255, 255, 255, 255, 255, 255, 255, 255, 0]);
    }
}
