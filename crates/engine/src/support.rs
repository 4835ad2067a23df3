//! Which limits this host's control groups can enforce, and what becomes of a wish for one they cannot.
//! Leaves out enforcing them (runtime).

use hako_model::container::Resources;
use hako_sys::cgroup::{Group, Hierarchy, Version};

use crate::{Error, Result};

/// What the host can enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Support {
    /// Whether the controllers are on cgroup v2.
    pub(crate) unified: bool,
    /// Memory.
    pub(crate) memory: bool,
    /// Memory and swap.
    pub(crate) swap: bool,
    /// How gladly a group's memory is swapped out.
    pub(crate) swappiness: bool,
    /// Waiting for memory instead of being killed.
    pub(crate) oom_kill_disable: bool,
    /// Processes.
    pub(crate) pids: bool,
    /// Shares and quotas of processor time.
    pub(crate) cpu: bool,
    /// Real-time processor time.
    pub(crate) realtime: bool,
    /// Which processors and memory nodes.
    pub(crate) cpuset: bool,
    /// Shares of block devices.
    pub(crate) block_weight: bool,
    /// Speeds of block devices.
    pub(crate) block_speed: bool,
}

impl Support {
    /// Looks at the host; `parent` is the group containers are made below. Certain only once that group is there: the
    /// roots lack some files.
    pub(crate) fn of(parent: &str) -> Result<(Self, bool)> {
        let failed = |e| Error::io("look at control groups", e);
        let group = Group::open(parent).map_err(failed)?;
        let controllers = Hierarchy::of_host().map_err(failed)?.controllers();
        let there = |name: &str| controllers.iter().any(|controller| controller == name);
        let unified = group.version() == Version::V2;
        let certain = group.exists();
        let has = |controller, files: &[&str]| !certain || files.iter().any(|file| group.has(controller, file));
        let (block, weights): (_, &[&str]) = match unified {
            true => ("io", &["io.weight", "io.bfq.weight"]),
            false => ("blkio", &["blkio.weight", "blkio.bfq.weight"]),
        };
        let swap_file = if unified { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" };
        let support = Self {
            unified,
            memory: there("memory"),
            swap: there("memory") && has("memory", &[swap_file]),
            swappiness: there("memory") && !unified,
            oom_kill_disable: there("memory") && !unified,
            pids: there("pids"),
            cpu: there("cpu"),
            realtime: there("cpu") && !unified && has("cpu", &["cpu.rt_runtime_us"]),
            cpuset: there("cpuset"),
            block_weight: there(block) && has(block, weights),
            block_speed: there(block),
        };
        Ok((support, certain))
    }

    /// Takes out of a container's limits what cannot be enforced, and says so as Docker does.
    pub(crate) fn discard(&self, asked: &mut Resources) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(format!("Your kernel does not support {text}"));
        if asked.memory > 0 && !self.memory {
            (asked.memory, asked.memory_swap) = (0, 0);
            warn("memory limit capabilities or the cgroup is not mounted. Limitation discarded.");
        }
        if asked.memory > 0 && asked.memory_swap > 0 && !self.swap {
            asked.memory_swap = -1;
            warn("swap limit capabilities or the cgroup is not mounted. Memory limited without swap.");
        }
        if asked.memory_swappiness.is_some() && !self.swappiness {
            asked.memory_swappiness = None;
            warn("memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.");
        }
        if asked.memory_reservation > 0 && !self.memory {
            asked.memory_reservation = 0;
            warn("memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.");
        }
        if asked.oom_kill_disable == Some(true) && !self.oom_kill_disable {
            asked.oom_kill_disable = None;
            warn("OomKillDisable. OomKillDisable discarded.");
        }
        if asked.pids_limit.is_some_and(|limit| limit > 0) && !self.pids {
            asked.pids_limit = None;
            warn("PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.");
        }
        warnings.extend(self.discard_cpu(asked));
        warnings.extend(self.discard_block(asked));
        warnings
    }

    fn discard_cpu(&self, asked: &mut Resources) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(format!("Your kernel does not support {text}"));
        if asked.cpu_shares > 0 && !self.cpu {
            asked.cpu_shares = 0;
            warn("CPU shares or the cgroup is not mounted. Shares discarded.");
        }
        if (asked.cpu_period != 0 || asked.cpu_quota != 0) && !self.cpu {
            (asked.cpu_period, asked.cpu_quota) = (0, 0);
            warn("CPU CFS scheduler or the cgroup is not mounted. CPU period/quota discarded.");
        }
        let bound = !asked.cpuset_cpus.is_empty() || !asked.cpuset_mems.is_empty();
        if bound && !self.cpuset {
            asked.cpuset_cpus.clear();
            asked.cpuset_mems.clear();
            warn("cpuset or the cgroup is not mounted. CPUset discarded.");
        }
        warnings
    }

    fn discard_block(&self, asked: &mut Resources) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(format!("Your kernel does not support {text}"));
        if asked.blkio_weight > 0 && !self.block_weight {
            asked.blkio_weight = 0;
            warn("Block I/O weight or the cgroup is not mounted. Weight discarded.");
        }
        if asked.blkio_weight_device.as_ref().is_some_and(|list| !list.is_empty()) && !self.block_weight {
            asked.blkio_weight_device = None;
            warn("Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.");
        }
        let speeds = [
            (&mut asked.blkio_device_read_bps, "BPS Block I/O read limit", "Block I/O BPS read limit"),
            (&mut asked.blkio_device_write_bps, "BPS Block I/O write limit", "Block I/O BPS write limit"),
            (&mut asked.blkio_device_read_iops, "IOPS Block read limit", "Block I/O IOPS read limit"),
            (&mut asked.blkio_device_write_iops, "IOPS Block write limit", "Block I/O IOPS write limit"),
        ];
        for (speed, what, limit) in speeds {
            if speed.as_ref().is_some_and(|list| !list.is_empty()) && !self.block_speed {
                *speed = None;
                warn(&format!("{what} or the cgroup is not mounted. {limit} discarded."));
            }
        }
        warnings
    }

    /// Refuses what no weaker limit can stand in for.
    pub(crate) fn check(&self, asked: &Resources) -> Result<()> {
        if asked.nano_cpus > 0 && !self.cpu {
            return Err(Error::invalid(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
            ));
        }
        if (asked.cpu_realtime_period != 0 || asked.cpu_realtime_runtime != 0) && !self.realtime {
            return Err(Error::invalid("Your kernel does not support CPU real-time scheduler"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Support = Support {
        unified: true,
        memory: false,
        swap: false,
        swappiness: false,
        oom_kill_disable: false,
        pids: false,
        cpu: false,
        realtime: false,
        cpuset: false,
        block_weight: false,
        block_speed: false,
    };

    fn wishes() -> Resources {
        Resources {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            memory_swappiness: Some(10),
            oom_kill_disable: Some(true),
            pids_limit: Some(5),
            cpu_shares: 512,
            cpuset_cpus: "0".to_owned(),
            blkio_weight: 300,
            ..Resources::default()
        }
    }

    #[test]
    fn what_cannot_be_enforced_is_discarded_aloud() {
        let mut asked = wishes();
        let warnings = NOTHING.discard(&mut asked);
        assert_eq!(asked, Resources::default());
        assert_eq!(warnings.len(), 7, "{warnings:#?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("Your kernel does not support")));
    }

    #[test]
    fn cgroup_v2_has_no_swappiness() {
        let unified = Support { memory: true, swap: true, pids: true, cpu: true, cpuset: true, ..NOTHING };
        let mut asked = wishes();
        let warnings = unified.discard(&mut asked);
        let left = Resources { memory_swappiness: None, oom_kill_disable: None, blkio_weight: 0, ..wishes() };
        assert_eq!((asked, warnings.len()), (left, 3));
        let realtime = Resources { cpu_realtime_runtime: 1, ..Resources::default() };
        assert!(unified.check(&realtime).unwrap_err().to_string().contains("real-time"));
        assert!(unified.check(&wishes()).is_ok());
    }

    #[test]
    fn a_kernel_without_swap_accounting_still_limits_memory() {
        let mut asked = Resources { memory: 1 << 30, memory_swap: 2 << 30, ..Resources::default() };
        let warnings = Support { memory: true, ..NOTHING }.discard(&mut asked);
        assert_eq!((asked.memory, asked.memory_swap, warnings.len()), (1 << 30, -1, 1));
    }
}
