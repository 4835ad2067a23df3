//! The language of bake files: HCL, or the same as JSON. Variables, functions, matrices and references between targets are
//! worked out; what is left are targets and groups.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hcl::eval::{Context, Evaluate, FuncArgs, FuncDef, ParamType};
use hcl::expr::{Expression, ObjectKey, TemplateExpr};
use hcl::{Attribute, Block, Body, Identifier, Map, Structure};

use super::functions;
use super::target::{Target, Value, scalar};

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
    /// The type as it is written, if it is.
    pub(super) kind: String,
    pub(super) description: String,
}

/// A function that a file defines.
#[derive(Clone)]
struct Function {
    name: String,
    params: Vec<String>,
    rest: Option<String>,
    result: Expression,
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

/// One file as a body; `json` files say the same in JSON.
pub(super) fn parse(name: &str, text: &str, json: bool) -> Result<Body, String> {
    if !json {
        return hcl::parse(text).map_err(|error| format!("{name}: {error}"));
    }
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    let serde_json::Value::Object(map) = value else { return Err(format!("{name}: an object is wanted")) };
    let mut body = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("target" | "group" | "variable" | "function", serde_json::Value::Object(named)) => {
                body.extend(named.into_iter().map(|(label, value)| Structure::Block(block(&key, &label, value))));
            }
            (_, value) => {
                body.push(Structure::Attribute(Attribute::new(Identifier::sanitized(&key), expression(value))))
            }
        }
    }
    Ok(Body::from(body))
}

fn block(kind: &str, label: &str, value: serde_json::Value) -> Block {
    let attributes = match value {
        serde_json::Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    let attributes =
        attributes.into_iter().map(|(key, value)| Attribute::new(Identifier::sanitized(&key), expression(value)));
    Block::builder(Identifier::sanitized(kind)).add_label(label).add_attributes(attributes).build()
}

/// Strings of JSON are templates.
fn expression(value: serde_json::Value) -> Expression {
    match value {
        serde_json::Value::String(text) if text.contains("${") || text.contains("%{") => {
            Expression::from(TemplateExpr::QuotedString(text))
        }
        serde_json::Value::Array(items) => Expression::Array(items.into_iter().map(expression).collect()),
        serde_json::Value::Object(map) => {
            let pairs = map.into_iter().map(|(key, value)| (ObjectKey::from(key), expression(value)));
            Expression::Object(pairs.collect())
        }
        other => Expression::from_serializable(&other).unwrap_or(Expression::Null),
    }
}

/// Works out what these bodies say; the later ones add to the earlier.
pub(super) fn read(bodies: Vec<Body>, environment: &BTreeMap<String, String>) -> Result<Definition, String> {
    let (mut blocks, mut pending): (Vec<Block>, Vec<(String, Unknown)>) = (Vec::new(), Vec::new());
    for structure in bodies.into_iter().flatten() {
        match structure {
            Structure::Block(block) => blocks.push(block),
            Structure::Attribute(own) => {
                pending.push((own.key.to_string(), Unknown { default: Some(own.expr), ..Unknown::default() }))
            }
        }
    }
    let mut world = World::default();
    for block in &blocks {
        let name = label(block)?;
        match block.identifier() {
            "function" => world.functions.push(function(name, block)?),
            "variable" => {
                pending.retain(|(known, _)| *known != name);
                pending.push((name, Unknown::of(block)?));
            }
            "target" | "group" => {}
            other => return Err(format!("unsupported block type {other:?}")),
        }
    }
    if world.functions.len() > FUNCTIONS {
        return Err(format!("hako takes at most {FUNCTIONS} functions of a bake file"));
    }
    world.variables.insert("BAKE_CMD_CONTEXT".to_owned(), Value::from("cwd://"));
    let platform = hako_model::platform::Platform::host().normalised().to_string();
    world.variables.insert("BAKE_LOCAL_PLATFORM".to_owned(), Value::from(platform));
    let mut definition = Definition::default();
    variables(&mut world, pending, environment, &mut definition)?;
    let groups = blocks.iter().filter(|block| block.identifier() == "group");
    for block in groups {
        group(&world, block, &mut definition)?;
    }
    targets(&mut world, &blocks, &mut definition)?;
    Ok(definition)
}

fn label(block: &Block) -> Result<String, String> {
    let label = block.labels().first().map(|label| label.as_str().to_owned());
    label.ok_or_else(|| format!("{} needs a name", block.identifier()))
}

/// A variable whose value is not known yet.
#[derive(Clone, Default)]
struct Unknown {
    default: Option<Expression>,
    kind: Option<String>,
    description: String,
    /// Conditions and what to say if they do not hold.
    checks: Vec<(Expression, String)>,
    /// It is a variable, and not an attribute of the file.
    is_variable: bool,
}

impl Unknown {
    fn of(block: &Block) -> Result<Self, String> {
        let mut own = Self { is_variable: true, ..Self::default() };
        for attribute in block.body().attributes() {
            match attribute.key() {
                "default" => own.default = Some(attribute.expr().clone()),
                "type" => own.kind = Some(attribute.expr().to_string()),
                "description" => own.description = plain(attribute.expr()),
                other => return Err(format!("variable {}: unsupported argument {other:?}", label(block)?)),
            }
        }
        for check in block.body().blocks() {
            let find = |key: &str| check.body().attributes().find(|own| own.key() == key).map(|own| own.expr().clone());
            if let Some(condition) = find("condition") {
                own.checks.push((condition, find("error_message").as_ref().map(plain).unwrap_or_default()));
            }
        }
        Ok(own)
    }

    /// The value; the environment's, if it has one, in the type of the default.
    fn value(&self, context: &Context<'_>, given: Option<&String>) -> Result<Value, String> {
        let default = match &self.default {
            Some(default) => evaluate(default, context)?,
            None => Value::Null,
        };
        let Some(given) = given.filter(|_| self.is_variable) else {
            // A variable without a default is the empty string, or null if it has a type.
            return Ok(if self.default.is_none() && self.kind.is_none() { Value::from("") } else { default });
        };
        let kind = self.kind.as_deref().unwrap_or(match default {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::Array(_) => "list",
            _ => "string",
        });
        let wrong = || format!("{given:?} is no {kind}");
        match kind {
            "bool" => given.parse().map(Value::Bool).map_err(|_| wrong()),
            "number" => serde_json::from_str::<Value>(given).ok().filter(Value::is_number).ok_or_else(wrong),
            "string" | "any" => Ok(Value::from(given.as_str())),
            _ if given.starts_with(['[', '{']) => serde_json::from_str(given).map_err(|_| wrong()),
            _ => Ok(given.split(',').map(Value::from).collect()),
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
        let mut failed = String::new();
        for (name, unknown) in std::mem::take(&mut pending) {
            match world.within(|context| unknown.value(context, environment.get(&name))) {
                Ok(value) => _ = world.variables.insert(name, value),
                Err(error) => {
                    failed = format!("variable {name}: {error}");
                    pending.push((name, unknown));
                }
            }
        }
        if pending.len() == before {
            return Err(failed);
        }
    }
    for (name, unknown) in order {
        for (condition, message) in &unknown.checks {
            if world.within(|context| evaluate(condition, context))? != Value::Bool(true) {
                return Err(format!("variable {name}: {message}"));
            }
        }
        if unknown.is_variable {
            let value = world.variables.get(&name).and_then(scalar);
            let kind = unknown.kind.unwrap_or_default();
            definition.variables.push(Variable { name, value, kind, description: unknown.description });
        }
    }
    Ok(())
}

fn function(name: String, block: &Block) -> Result<Function, String> {
    let find = |key: &str| block.body().attributes().find(|own| own.key() == key).map(Attribute::expr);
    let params = match find("params") {
        Some(Expression::Array(items)) => items.iter().map(plain).collect(),
        _ => Vec::new(),
    };
    let rest = find("variadic_params").or_else(|| find("variadic_param")).map(plain);
    let result = find("result").cloned().ok_or_else(|| format!("function {name} has no result"))?;
    Ok(Function { name, params, rest, result })
}

fn evaluate(expression: &Expression, context: &Context<'_>) -> Result<Value, String> {
    expression.evaluate(context).map_err(|error| error.to_string())
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
    let mut values = args.into_values().into_iter();
    let mut context = world.context();
    for param in &own.params {
        let value = values.next().ok_or_else(|| format!("function {} wants {param}", own.name))?;
        context.declare_var(Identifier::sanitized(param), value);
    }
    match &own.rest {
        Some(rest) => context.declare_var(Identifier::sanitized(rest), values.collect::<Vec<_>>()),
        None if values.next().is_some() => return Err(format!("function {} was given too much", own.name)),
        None => {}
    }
    evaluate(&own.result, &context)
}

/// One pointer for each function a file may define.
static CALLS: [hcl::eval::Func; FUNCTIONS] = [
    call::<0>, call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>, call::<8>, call::<9>,
    call::<10>, call::<11>, call::<12>, call::<13>, call::<14>, call::<15>,
];

fn group(world: &World, block: &Block, definition: &mut Definition) -> Result<(), String> {
    let name = label(block)?;
    for own in block.body().attributes() {
        let value = world.within(|context| evaluate(own.expr(), context))?;
        match (own.key(), value) {
            ("targets", Value::Array(items)) => {
                definition.groups.insert(name.clone(), items.iter().filter_map(scalar).collect());
            }
            ("description", value) => {
                definition.about.insert(name.clone(), scalar(&value).unwrap_or_default());
            }
            (other, _) => return Err(format!("group {name}: unsupported argument {other:?}")),
        }
    }
    Ok(())
}

/// Works targets out until all are known: they may name each other's attributes.
fn targets(world: &mut World, blocks: &[Block], definition: &mut Definition) -> Result<(), String> {
    let mut pending: Vec<&Block> = blocks.iter().filter(|block| block.identifier() == "target").collect();
    let mut known: Vec<(usize, String, Target)> = Vec::new();
    let place = |block: &Block| blocks.iter().position(|other| std::ptr::eq(other, block)).unwrap_or_default();
    while !pending.is_empty() {
        let before = pending.len();
        let mut failed = String::new();
        for block in std::mem::take(&mut pending) {
            match target(world, block) {
                Ok(made) => {
                    let label = label(block)?;
                    if block.body().attributes().any(|own| own.key() == "matrix") {
                        definition.groups.insert(label, made.iter().map(|(name, ..)| name.clone()).collect());
                    }
                    for (name, target, values) in made {
                        note(world, &name, values);
                        known.push((place(block), name, target));
                    }
                }
                Err(error) => {
                    failed = format!("target {}: {error}", label(block)?);
                    pending.push(block);
                }
            }
        }
        if pending.len() == before {
            return Err(failed);
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
    let find = |key: &str| block.body().attributes().find(|own| own.key() == key).map(Attribute::expr);
    let fields = match find("matrix") {
        Some(matrix) => combine(&world.within(|context| evaluate(matrix, context))?)?,
        None => vec![Map::new()],
    };
    let mut made = Vec::new();
    for field in fields {
        let mut world = world.clone();
        world.variables.extend(field);
        let name = match find("name") {
            Some(name) => {
                world.within(|context| evaluate(name, context)).map(|name| scalar(&name).unwrap_or_default())?
            }
            None if find("matrix").is_some() => return Err("a target with a matrix needs a name".to_owned()),
            None => label(block)?,
        };
        if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)) || name.is_empty() {
            return Err(format!("invalid name {name:?}: only \"a-zA-Z0-9_-\" are allowed"));
        }
        let (mut target, mut values) = (Target::default(), Map::new());
        for own in block.body().attributes().filter(|own| !matches!(own.key(), "name" | "matrix")) {
            let value = world.within(|context| evaluate(own.expr(), context))?;
            target.set(own.key(), &value)?;
            values.insert(own.key().to_owned(), value);
        }
        made.push((name, target, values));
    }
    Ok(made)
}

/// All ways to take one value of each list.
fn combine(matrix: &Value) -> Result<Vec<Map<String, Value>>, String> {
    let Value::Object(axes) = matrix else { return Err("matrix must be a map of lists".to_owned()) };
    let mut fields = vec![Map::new()];
    for (name, values) in axes {
        let Value::Array(values) = values else { return Err(format!("matrix.{name} must be a list")) };
        let with = |field: &Map<String, Value>, value: &Value| {
            let mut field = field.clone();
            field.insert(name.clone(), value.clone());
            field
        };
        fields = fields.iter().flat_map(|field| values.iter().map(move |value| with(field, value))).collect();
    }
    Ok(fields)
}
