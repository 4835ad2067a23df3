//! What the host's routing already knows: input to the choice of a subnet.

use ipnet::IpNet;

use crate::Result;

/// Every subnet the host routes (but default routes) or has an address in: what a new network must not overlap.
pub fn taken() -> Result<Vec<IpNet>> {
    todo!()
}
