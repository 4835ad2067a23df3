//! From rules to instructions.

use std::collections::BTreeMap;

use hako_sys::seccomp::Instruction;

use super::{Action, Architecture, Comparison, Condition, Profile};
use crate::LaunchError;

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The bit that marks calls of the x32 interface.
const X32: u32 = 0x4000_0000;
/// The most instructions the kernel takes.
const LIMIT: usize = 4096;
const ENOSYS: u16 = 38;

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn verdict(action: Action) -> Instruction {
    statement(RETURN, action.value())
}

/// Conditions, and what happens if they all hold.
type Alternative = (Vec<Condition>, Action);

/// What happens to calls of one number: the first alternative whose conditions hold, else the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaf {
    alternatives: Vec<Alternative>,
    otherwise: Action,
}

/// The whole program: a tree for each architecture, and death for calls of any other.
pub(super) fn generate(profile: &Profile<'_>) -> Result<Vec<Instruction>, LaunchError> {
    let mut program = vec![statement(LOAD_WORD, ARCHITECTURE)];
    for architecture in &profile.architectures {
        let section = section(profile, *architecture);
        program.push(jump(JUMP_EQUAL, architecture.audit(), 1, 0));
        program.push(statement(JUMP, distance(section.len())));
        program.extend(section);
    }
    program.push(verdict(Action::KillProcess));
    if program.len() > LIMIT {
        return Err(LaunchError::setup("load seccomp profile", "it is too large for the kernel"));
    }
    Ok(program)
}

fn distance(instructions: usize) -> u32 {
    u32::try_from(instructions).unwrap_or(u32::MAX)
}

fn section(profile: &Profile<'_>, architecture: Architecture) -> Vec<Instruction> {
    let mut section = vec![statement(LOAD_WORD, NUMBER)];
    if architecture == Architecture::X86_64 {
        section.push(jump(JUMP_GREATER_OR_EQUAL, X32, 0, 1));
        section.push(verdict(Action::KillProcess));
    }
    section.extend(tree(&ranges(profile, architecture)));
    section
}

/// Ranges by their first number, each up to the next; neighbours differ.
fn ranges(profile: &Profile<'_>, architecture: Architecture) -> Vec<(u32, Leaf)> {
    let leaves = leaves(profile, architecture);
    let mut ranges: Vec<(u32, Leaf)> = Vec::new();
    let mut add = |first: u32, leaf: Leaf| match ranges.last() {
        Some((_, last)) if *last == leaf => {}
        _ => ranges.push((first, leaf)),
    };
    let plain = |action| Leaf { alternatives: Vec::new(), otherwise: action };
    let mut next = 0;
    for (number, leaf) in leaves {
        if number > next {
            add(next, plain(profile.default));
        }
        add(number, leaf);
        next = number + 1;
    }
    add(next, plain(beyond(profile.default)));
    ranges
}

/// Calls newer than any the profile names: a program must take them for missing, not for forbidden, or it would not
/// fall back to the older call.
fn beyond(default: Action) -> Action {
    match default {
        Action::Errno(_) | Action::KillThread | Action::KillProcess | Action::Trap => Action::Errno(ENOSYS),
        other => other,
    }
}

fn leaves(profile: &Profile<'_>, architecture: Architecture) -> BTreeMap<u32, Leaf> {
    let mut leaves: BTreeMap<u32, (Vec<Alternative>, Option<Action>)> = BTreeMap::new();
    for rule in &profile.rules {
        for number in rule.names.iter().filter_map(|name| architecture.number(name)) {
            let (alternatives, unconditional) = leaves.entry(number).or_default();
            if rule.conditions.is_empty() {
                unconditional.get_or_insert(rule.action);
            } else {
                alternatives.push((rule.conditions.clone(), rule.action));
            }
        }
    }
    let finish = |(mut alternatives, unconditional): (Vec<Alternative>, Option<Action>)| {
        let otherwise = unconditional.unwrap_or(profile.default);
        // Alternatives at the end that change nothing need no code.
        while alternatives.last().is_some_and(|(_, action)| *action == otherwise) {
            alternatives.pop();
        }
        Leaf { alternatives, otherwise }
    };
    leaves.into_iter().map(|(number, parts)| (number, finish(parts))).collect()
}

fn tree(ranges: &[(u32, Leaf)]) -> Vec<Instruction> {
    let [.., _, _] = ranges else {
        return ranges.first().map(|(_, leaf)| leaf_code(leaf)).unwrap_or_default();
    };
    let middle = ranges.len() / 2;
    let below = tree(&ranges[..middle]);
    let above = tree(&ranges[middle..]);
    let first = ranges[middle].0;
    let mut code = match u8::try_from(below.len()) {
        Ok(length) => vec![jump(JUMP_GREATER_OR_EQUAL, first, length, 0)],
        // Conditional jumps reach 255 instructions.
        Err(_) => vec![jump(JUMP_GREATER_OR_EQUAL, first, 0, 1), statement(JUMP, distance(below.len()))],
    };
    code.extend(below);
    code.extend(above);
    code
}

fn leaf_code(leaf: &Leaf) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (conditions, action) in &leaf.alternatives {
        code.extend(alternative(conditions, *action));
    }
    code.push(verdict(leaf.otherwise));
    code
}

/// Code that returns the action if all conditions hold, and falls through behind itself if not.
fn alternative(conditions: &[Condition], action: Action) -> Vec<Instruction> {
    let mut code = vec![verdict(action)];
    for condition in conditions.iter().rev() {
        let mut checked = check(condition, code.len());
        checked.extend(code);
        code = checked;
    }
    code
}

/// Compares a 64-bit argument by halves. If it holds, goes on behind itself; if not, skips `rest` more instructions.
fn check(condition: &Condition, rest: usize) -> Vec<Instruction> {
    let high_at = ARGUMENTS + condition.index * 8 + if cfg!(target_endian = "little") { 4 } else { 0 };
    let low_at = ARGUMENTS + condition.index * 8 + if cfg!(target_endian = "little") { 0 } else { 4 };
    let (high, low) = halves(condition.value);
    let load = |at| statement(LOAD_WORD, at);
    // Skips are counted from the instruction after the jump. No profile has so many conditions that they overflow.
    let skip = |instructions: usize| u8::try_from(instructions).unwrap_or(u8::MAX);
    let ordered = |low_test: u16, holds_above: bool| {
        // high > value: decided; high != value: decided the other way; equal: the low half decides.
        let (above, below) = if holds_above { (3, 2 + rest) } else { (3 + rest, 2) };
        let (low_true, low_false) = if holds_above { (0, rest) } else { (rest, 0) };
        vec![
            load(high_at),
            jump(JUMP_GREATER, high, skip(above), 0),
            jump(JUMP_EQUAL, high, 0, skip(below)),
            load(low_at),
            jump(low_test, low, skip(low_true), skip(low_false)),
        ]
    };
    match condition.comparison {
        Comparison::Equal => {
            vec![
                load(high_at),
                jump(JUMP_EQUAL, high, 0, skip(2 + rest)),
                load(low_at),
                jump(JUMP_EQUAL, low, 0, skip(rest)),
            ]
        }
        Comparison::NotEqual => {
            vec![load(high_at), jump(JUMP_EQUAL, high, 0, 2), load(low_at), jump(JUMP_EQUAL, low, skip(rest), 0)]
        }
        Comparison::MaskedEqual(mask) => masked(high_at, low_at, mask, condition.value, rest),
        Comparison::Greater => ordered(JUMP_GREATER, true),
        Comparison::GreaterOrEqual => ordered(JUMP_GREATER_OR_EQUAL, true),
        Comparison::Less => ordered(JUMP_GREATER_OR_EQUAL, false),
        Comparison::LessOrEqual => ordered(JUMP_GREATER, false),
    }
}

fn masked(high_at: u32, low_at: u32, mask: u64, value: u64, rest: usize) -> Vec<Instruction> {
    let (mask_high, mask_low) = halves(mask);
    let (high, low) = halves(value & mask);
    let skip = |instructions: usize| u8::try_from(instructions).unwrap_or(u8::MAX);
    vec![
        statement(LOAD_WORD, high_at),
        statement(AND, mask_high),
        jump(JUMP_EQUAL, high, 0, skip(3 + rest)),
        statement(LOAD_WORD, low_at),
        statement(AND, mask_low),
        jump(JUMP_EQUAL, low, 0, skip(rest)),
    ]
}

fn halves(value: u64) -> (u32, u32) {
    let high = u32::try_from(value >> 32).unwrap_or(0);
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    (high, low)
}
