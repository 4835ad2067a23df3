//! The language of bake files: HCL, or the same as JSON. Variables, functions, matrices and references between targets are
//! worked out; what is left are targets and groups.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::expr::Expression;
use hcl::{Identifier, Map};

use super::fault::{MISSING, Place, TOO_MUCH, TWICE, Term};
use super::functions;
use super::kind::Kind;
use super::page::{Block, Page};
use super::target::{Target, Value, scalar, wanted};

/// How many functions a file may define: each needs a place of its own, as functions of the evaluator are plain pointers.
const FUNCTIONS: usize = 16;

/// What is read.
#[derive(Debug, Default)]
pub(super) struct Definition {
    /// By name.
    pub(super) targets: BTreeMap<String, Target>,
    /// Names of targets and groups by name.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// Descriptions of groups.
    pub(super) about: BTreeMap<String, String>,
    /// In the order of the file.
    pub(super) variables: Vec<Variable>,
}

/// A variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Option<String>,
    /// The type, if one is written.
    pub(super) kind: String,
    pub(super) description: String,
}

/// A function that a file defines.
#[derive(Clone)]
struct Function {
    name: String,
    params: Vec<String>,
    rest: Option<String>,
    result: Term,
}

/// What functions of files see: all of them, and the variables.
#[derive(Clone, Default)]
struct World {
    functions: Vec<Function>,
    variables: Map<String, Value>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Works out what these pages say; the later ones add to the earlier. `own` are variables that every file has.
pub(super) fn read(
    pages: Vec<Page>,
    own: &[(&str, &str)],
    environment: &BTreeMap<String, String>,
) -> Result<Definition, String> {
    let (mut blocks, mut pending): (Vec<Block>, Vec<(String, Unknown)>) = (Vec::new(), Vec::new());
    for page in pages {
        blocks.extend(page.blocks);
        let own = |(name, term)| (name, Unknown { default: Some(term), ..Unknown::default() });
        pending.extend(page.terms.into_iter().map(own));
    }
    let mut world = World::default();
    for block in &blocks {
        match block.kind.as_str() {
            "function" => world.functions.push(function(block)?),
            "variable" => {
                let name = block.label()?.to_owned();
                pending.retain(|(known, _)| *known != name);
                pending.push((name, Unknown::of(block)?));
            }
            "target" | "group" => _ = block.label()?,
            // As buildx: whatever else is said is for somebody else.
            _ => {}
        }
    }
    if world.functions.len() > FUNCTIONS {
        return Err(format!("hako takes at most {FUNCTIONS} functions of a bake file"));
    }
    for (name, value) in own {
        world.variables.insert((*name).to_owned(), Value::from(*value));
    }
    let mut definition = Definition::default();
    variables(&mut world, pending, environment, &mut definition)?;
    let groups = blocks.iter().filter(|block| block.kind == "group");
    for block in groups {
        group(&world, block, &mut definition)?;
    }
    targets(&mut world, &blocks, &mut definition)?;
    Ok(definition)
}

/// A variable whose value is not known yet.
#[derive(Clone, Default)]
struct Unknown {
    default: Option<Term>,
    kind: Option<Kind>,
    description: String,
    /// Conditions and what to say if they do not hold.
    checks: Vec<(Term, String)>,
    /// Where it is called; a variable has such a place, an attribute of the file has none.
    place: Option<Place>,
}

impl Unknown {
    fn of(block: &Block) -> Result<Self, String> {
        let mut own = Self { place: Some(block.open.clone()), ..Self::default() };
        for (key, term) in &block.terms {
            match key.as_str() {
                "default" => own.default = Some(term.clone()),
                "type" => {
                    own.kind = Some(Kind::read(&term.value).map_err(|words| term.place().fault(&words))?);
                }
                "description" => own.description = plain(&term.value),
                _ => {}
            }
        }
        for check in &block.blocks {
            if let Some(condition) = check.find("condition") {
                let message = check.find("error_message").map(|term| plain(&term.value)).unwrap_or_default();
                own.checks.push((condition.clone(), message));
            }
        }
        Ok(own)
    }

    /// The value; the environment's, if it has one, in the type of the default.
    fn value(
        &self,
        name: &str,
        context: &Context<'_>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let mut default = match &self.default {
            Some(default) => default.evaluate(context, false)?,
            None => Value::Null,
        };
        let Some(place) = &self.place else { return Ok(default) };
        let fault = |words: String| place.fault(&format!("Invalid value; {words}"));
        if let (Some(kind), true) = (&self.kind, self.default.is_some()) {
            let said = |why| fault(format!("invalid type {kind} for variable {name} default value: {why}"));
            default = kind.convert(&default).map_err(said)?;
        }
        // A variable without a default is the empty string, or null if it has a type.
        let unset = self.default.is_none() && self.kind.is_none();
        if unset {
            default = Value::from("");
        }
        let kind = self.kind.clone().unwrap_or_else(|| Kind::of(&default));
        if let Some(text) = environment.get(name) {
            return kind.parse(name, text).map_err(fault);
        }
        match environment.get(&format!("{name}_JSON")).filter(|_| self.kind.is_some()) {
            Some(text) => kind.parse_json(name, text).map_err(fault),
            None => Ok(default),
        }
    }
}

/// A literal's text.
fn plain(expression: &Expression) -> String {
    match expression {
        Expression::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Works variables out until all are known: they may need each other, in any order.
fn variables(
    world: &mut World,
    mut pending: Vec<(String, Unknown)>,
    environment: &BTreeMap<String, String>,
    definition: &mut Definition,
) -> Result<(), String> {
    let order: Vec<(String, Unknown)> = pending.clone();
    while !pending.is_empty() {
        let before = pending.len();
        let mut failed = Vec::new();
        for (name, unknown) in std::mem::take(&mut pending) {
            match world.within(|context| unknown.value(&name, context, environment)) {
                Ok(value) => _ = world.variables.insert(name, value),
                Err(error) => {
                    failed.push(error);
                    pending.push((name, unknown));
                }
            }
        }
        if pending.len() == before {
            return Err(stuck(&pending).unwrap_or_else(|| failed.swap_remove(0)));
        }
    }
    for (name, unknown) in order {
        for (condition, message) in &unknown.checks {
            if world.within(|context| condition.evaluate(context, false))? != Value::Bool(true) {
                return Err(condition.mark_all().fault(&format!("Validation failed; {message}")));
            }
        }
        if unknown.place.is_some() {
            let value = world.variables.get(&name).and_then(scalar);
            let kind = unknown.kind.map(|kind| kind.to_string()).unwrap_or_default();
            definition.variables.push(Variable { name, value, kind, description: unknown.description });
        }
    }
    Ok(())
}

/// The fault of variables that need each other.
fn stuck(pending: &[(String, Unknown)]) -> Option<String> {
    let needs = |name: &str| -> Vec<String> {
        let own = pending.iter().find(|(known, _)| known == name).and_then(|(_, own)| own.default.as_ref());
        own.map(|term| term.variables().into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
    };
    let (first, _) = pending.first()?;
    let (mut way, mut name): (Vec<String>, String) = (Vec::new(), first.clone());
    while !way.contains(&name) {
        way.push(name.clone());
        name = needs(&name).into_iter().find(|needed| pending.iter().any(|(known, _)| known == needed))?;
    }
    let (_, last) = pending.iter().find(|(known, _)| way.last() == Some(known))?;
    let (_, place) = last.default.as_ref()?.variables().into_iter().find(|(needed, _)| *needed == name)?;
    Some(place.fault(&format!("Invalid expression; variable cycle not allowed for {name}")))
}

fn function(block: &Block) -> Result<Function, String> {
    let name = block.label()?.to_owned();
    let params = match block.find("params").map(|term| &term.value) {
        Some(Expression::Array(items)) => items.iter().map(plain).collect(),
        _ => Vec::new(),
    };
    let rest = block.find("variadic_params").or_else(|| block.find("variadic_param")).map(|term| plain(&term.value));
    let empty = || block.place.fault(&format!("Invalid function; empty result not allowed for {name}"));
    let result = block.find("result").cloned().ok_or_else(empty)?;
    Ok(Function { name, params, rest, result })
}

impl World {
    /// Evaluates something in it.
    fn within<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        WORLD.with(|world| world.replace(self.clone()));
        work(&self.context())
    }

    fn context(&self) -> Context<'static> {
        let mut context = Context::new();
        functions::declare(&mut context);
        for (number, own) in self.functions.iter().enumerate() {
            let def = FuncDef::builder().variadic_param(ParamType::Any).build(CALLS[number]);
            context.declare_func(Identifier::sanitized(&own.name), def);
        }
        for (name, value) in &self.variables {
            context.declare_var(Identifier::sanitized(name), value.clone());
        }
        context
    }
}

/// Calls the file's function of a number.
fn call<const NUMBER: usize>(args: FuncArgs) -> Result<Value, String> {
    let world = WORLD.with(|world| world.borrow().clone());
    let own = world.functions.get(NUMBER).ok_or("no such function")?;
    let (name, count) = (&own.name, own.params.len());
    let mut values = args.into_values().into_iter();
    let mut context = world.context();
    for param in &own.params {
        let missing =
            || format!("{MISSING} Function {name:?} expects {count} argument(s). Missing value for {param:?}.");
        context.declare_var(Identifier::sanitized(param), values.next().ok_or_else(missing)?);
    }
    match &own.rest {
        Some(rest) => context.declare_var(Identifier::sanitized(rest), values.collect::<Vec<_>>()),
        None if values.next().is_some() => {
            return Err(format!("{TOO_MUCH} Function {name:?} expects only {count} argument(s)."));
        }
        None => {}
    }
    // The place in the function follows that of the call.
    own.result.evaluate(&context, false).map_err(|error| match error.split_once("\nERROR: ") {
        Some((_, words)) => words.to_owned(),
        None => error,
    })
}

/// One pointer for each function a file may define.
static CALLS: [hcl::eval::Func; FUNCTIONS] = [
    call::<0>, call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>, call::<8>, call::<9>,
    call::<10>, call::<11>, call::<12>, call::<13>, call::<14>, call::<15>,
];

fn group(world: &World, block: &Block, definition: &mut Definition) -> Result<(), String> {
    let name = block.label()?.to_owned();
    for (key, words) in [("name", "name"), ("matrix", "matrix")] {
        if block.find(key).is_some() {
            return Err(block.name.fault(&format!("Invalid name; {words} is not supported for groups")));
        }
    }
    let Some(term) = block.find("targets") else {
        let words = "The argument \"targets\" is required, but no definition was found.";
        return Err(block.open.fault(&format!("Missing required argument; {words}")));
    };
    let value = world.within(|context| term.evaluate(context, true))?;
    wanted("inherits", &value).map_err(|why| unsuitable(term, &why))?;
    let Value::Array(items) = value else { return Ok(()) };
    let list = definition.groups.entry(name.clone()).or_default();
    // Of two groups of that name the later one counts.
    *list = items.iter().filter_map(scalar).collect();
    if let Some(about) = block.find("description") {
        let value = world.within(|context| about.evaluate(context, true))?;
        definition.about.insert(name, scalar(&value).unwrap_or_default());
    }
    Ok(())
}

fn unsuitable(term: &Term, why: &str) -> String {
    term.mark().fault(&format!("Unsuitable value type; Unsuitable value: {why}"))
}

/// Works targets out until all are known: they may name each other's attributes.
fn targets(world: &mut World, blocks: &[Block], definition: &mut Definition) -> Result<(), String> {
    let mut pending: Vec<&Block> = blocks.iter().filter(|block| block.kind == "target").collect();
    let mut known: Vec<(usize, String, Target)> = Vec::new();
    let place = |block: &Block| blocks.iter().position(|other| std::ptr::eq(other, block)).unwrap_or_default();
    let names: BTreeSet<&str> = pending.iter().filter_map(|block| block.label().ok()).collect();
    world.variables.insert("target".to_owned(), Value::Object(Map::new()));
    while !pending.is_empty() {
        let before = pending.len();
        let mut failed = Vec::new();
        for block in std::mem::take(&mut pending) {
            match target(world, block) {
                Ok(made) => {
                    let label = block.label()?.to_owned();
                    if block.find("matrix").is_some() && block.find("name").is_some() {
                        definition.groups.insert(label, made.iter().map(|(name, ..)| name.clone()).collect());
                    }
                    for (name, target, values) in made {
                        note(world, &name, values);
                        known.push((place(block), name, target));
                    }
                }
                Err(error) => {
                    failed.push(error);
                    pending.push(block);
                }
            }
        }
        if pending.len() == before {
            // One that only waits for another is not the one at fault.
            let waits =
                |error: &String| names.iter().any(|name| error.ends_with(&format!("with the key {name:?}.{TWICE}")));
            let at = failed.iter().position(|error| !waits(error)).unwrap_or_default();
            return Err(failed.swap_remove(at));
        }
    }
    known.sort_by_key(|(place, ..)| *place);
    for (_, name, target) in known {
        definition.targets.entry(name).or_default().merge(&target);
    }
    Ok(())
}

/// Makes a target's attributes known as `target.NAME`.
fn note(world: &mut World, name: &str, values: Map<String, Value>) {
    let all = world.variables.entry("target".to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(all) = all {
        all.insert(name.to_owned(), Value::Object(values));
    }
}

type Made = (String, Target, Map<String, Value>);

/// The targets of a block: one, or as many as its matrix has fields.
fn target(world: &World, block: &Block) -> Result<Vec<Made>, String> {
    let invalid = |words: &str| block.name.fault(&format!("Invalid name; {words}"));
    let (naming, matrix) = (block.find("name"), block.find("matrix"));
    let fields = match matrix {
        Some(matrix) => {
            combine(&world.within(|context| matrix.evaluate(context, false))?).map_err(|words| invalid(&words))?
        }
        None if naming.is_some() => return Err(invalid("name requires matrix")),
        None => vec![Map::new()],
    };
    let mut made: Vec<Made> = Vec::new();
    for field in fields {
        let mut world = world.clone();
        world.variables.extend(field);
        let name = match naming {
            Some(name) => {
                world.within(|context| name.evaluate(context, false)).map(|name| scalar(&name).unwrap_or_default())?
            }
            None => block.label()?.to_owned(),
        };
        if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)) || name.is_empty() {
            return Err(invalid("only \"[a-zA-Z0-9_-]+\" are allowed"));
        }
        let (mut target, mut values) = (Target::default(), Map::new());
        for (key, term) in block.terms.iter().filter(|(key, _)| Target::has(key)) {
            let value = world.within(|context| term.evaluate(context, true))?;
            wanted(key, &value).map_err(|why| unsuitable(term, &why))?;
            target.set(key, &value).map_err(|why| unsuitable(term, &why))?;
            values.insert(key.clone(), value);
        }
        made.push((name, target, values));
    }
    Ok(made)
}

/// All ways to take one value of each list.
fn combine(matrix: &Value) -> Result<Vec<Map<String, Value>>, String> {
    let Value::Object(axes) = matrix else { return Err("matrix must be a map".to_owned()) };
    let mut fields = vec![Map::new()];
    for (name, values) in axes {
        let Value::Array(values) = values else { return Err("matrix values must be a list".to_owned()) };
        let with = |field: &Map<String, Value>, value: &Value| {
            let mut field = field.clone();
            field.insert(name.clone(), value.clone());
            field
        };
        fields = fields.iter().flat_map(|field| values.iter().map(move |value| with(field, value))).collect();
    }
    Ok(fields)
}
