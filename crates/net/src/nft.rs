//! hako's nft table: base chains and rules (engine), elements of its maps (supervisors, see `publish`).
//!
//! One table of the `inet` family holds everything, and looks like this (`nft list table inet hako` shows it):
//!
//! ```text
//! set bridges        ifname                                       our bridges
//! set internal, routed, unprotected4/6                            what kind of network they belong to
//! set passes         ifname . ifname                              between which everything passes
//! set masquerade4/6  subnet                                       what leaves with the host's address
//! set hairpin4/6     ifname . subnet                              what comes back to where it came from
//! map publish4_at    address . protocol . port : address . port   -p 192.0.2.1:8080:80
//! map publish4       protocol . port : address . port             -p 8080:80
//! map publish6_at, publish6                                       the same for IPv6
//! map ranges4_at, ranges4, ranges6_at, ranges6                    -p 10000-19999:10000-19999, where there are very many
//! set open4, open6   address . protocol . port                    -p 80 on a routed network
//! chain raw          packets from containers to or from 127.0.0.0/8 are dropped
//! chain prerouting   what comes for an address of the host goes through `publish`
//! chain output       the same for what the host itself sends
//! chain publish      the look-ups; a hit rewrites the destination
//! chain input        an internal network does not reach the host's services
//! chain forward      into a bridge goes only what was published, and answers
//! chain leave        what goes elsewhere: nothing from internal networks, nothing to metadata addresses
//! chain postrouting  masquerading
//! ```
//!
//! The rules are the same however many networks there are: a network is a few elements of sets.
//!
//! Docker 28's rules hold: an unpublished port is not reachable from outside, nor is a published one by its container
//! address, nor one published on 127.0.0.1 by another address. Others' tables are never touched; `firewall` has the
//! one exception.

pub(crate) mod answerer;
pub(crate) mod element;
mod expression;
pub(crate) mod foreign;
mod guard;
mod schema;
mod wire;

use std::net::IpAddr;

use hako_model::port::Port;

use crate::bridge::Bridge;
use crate::endpoint::Plan;
use crate::error::kernel;
use crate::{Error, Result};
use wire::{Attributes, Batch, INET, Verb};

pub use schema::Policy;

/// The nft table of one hako instance: `hako`, or `hako_XXXXXXXX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
}

impl Table {
    /// The table of an instance; the empty word is the default instance's.
    pub fn of(instance: &str) -> Self {
        let name = if instance.is_empty() { "hako".to_owned() } else { format!("hako_{instance}") };
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes table, maps, chains and rules be as these bridges need them, in one transaction that keeps the published
    /// ports already there. Idempotent.
    pub fn ensure(&self, bridges: &[Bridge], policy: Policy) -> Result<()> {
        let mut batch = Batch::new();
        schema::build(&mut batch, &self.name, bridges, policy);
        batch.commit(&mut *self.socket()?).map_err(self.refused("make"))?;
        guard::ensure(&self.name).map_err(kernel("make", format!("nft table bridge {}", self.name)))
    }

    /// Lets the ports of these endpoints send only as themselves, as far as they are to be guarded. Supervisor.
    pub fn guard(&self, plans: &[Plan]) -> Result<()> {
        guard::guard(&self.name, plans)
    }

    /// Takes back [`Table::guard`].
    pub fn forget(&self, plans: &[Plan]) -> Result<()> {
        guard::forget(&self.name, plans)
    }

    /// Opens these ports of containers on routed networks, or shuts them again. Supervisor.
    pub fn open(&self, ports: &[(IpAddr, Port)], open: bool) -> Result<()> {
        let verb = if open { Verb::NewElements } else { Verb::DeleteElements };
        match element::open(&mut *self.socket()?, &self.name, ports, verb) {
            Err(error) if !open && error.is_not_found() => Ok(()),
            done => done.map_err(self.refused("open ports in")),
        }
    }

    /// Adds one bridge to a table that is there.
    pub fn join(&self, bridge: &Bridge) -> Result<()> {
        let mut batch = Batch::new();
        schema::members(&mut batch, &self.name, bridge, wire::Verb::NewElements);
        batch.commit(&mut *self.socket()?).map_err(self.refused("add a bridge to"))
    }

    /// Takes one bridge out; a table that is gone is fine.
    pub fn part(&self, bridge: &Bridge) -> Result<()> {
        let mut batch = Batch::new();
        schema::members(&mut batch, &self.name, bridge, wire::Verb::DeleteElements);
        match batch.commit(&mut *self.socket()?) {
            Err(error) if !error.is_not_found() => Err(self.refused("take a bridge out of")(error)),
            _ => Ok(()),
        }
    }

    /// Whether the table exists (somebody may have flushed the ruleset).
    pub fn exists(&self) -> Result<bool> {
        let table = Attributes::new().text(1, &self.name);
        let found = wire::get(&mut *self.socket()?, Verb::GetTable, INET, &table);
        found.map(|table| table.is_some()).map_err(self.refused("read"))
    }

    /// Whether the table and its guard are there with all their rules: chains may be emptied without being removed, and
    /// what they forbid is then allowed.
    pub fn is_whole(&self, policy: Policy) -> Result<bool> {
        let wanted = schema::build(&mut Batch::new(), &self.name, &[], policy);
        let all = Attributes::new().text(1, &self.name);
        let rules = match wire::dump(&mut *self.socket()?, Verb::GetRule, INET, &all) {
            Err(error) if error.is_not_found() => return Ok(false),
            rules => rules.map_err(self.refused("read"))?,
        };
        let mut found = schema::Census::new();
        let of_table = |rule: &&wire::Object| wire::text(&rule.body, 1) == Some(self.name());
        for chain in rules.iter().filter(of_table).filter_map(|rule| wire::text(&rule.body, 2)) {
            *found.entry(chain.to_owned()).or_default() += 1;
        }
        let has_all = wanted.iter().all(|(chain, rules)| found.get(chain).is_some_and(|there| there >= rules));
        Ok(has_all && guard::is_whole(&self.name).map_err(self.refused("read"))?)
    }

    /// Removes the table with everything in it; one that is gone already is fine.
    pub fn remove(&self) -> Result<()> {
        let mut batch = Batch::new();
        batch.push(Verb::DeleteTable, 0, INET, &Attributes::new().text(1, &self.name));
        guard::remove(&self.name).map_err(self.refused("remove"))?;
        match batch.commit(&mut *self.socket()?) {
            Err(error) if !error.is_not_found() => Err(self.refused("remove")(error)),
            _ => Ok(()),
        }
    }

    fn socket(&self) -> Result<wire::Kept> {
        wire::socket().map_err(self.refused("open"))
    }

    fn refused(&self, verb: &'static str) -> impl FnOnce(hako_sys::Error) -> Error {
        kernel(verb, format!("nft table inet {}", self.name))
    }
}
