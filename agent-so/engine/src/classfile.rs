//! Small changes to Java class files: a call at the entry of a method (which may change a parameter), or one call in it replaced by another.
//!
//! Only what needs no analysis of the code is done. What is inserted stands before the first instruction, is padded to a
//! multiple of four bytes (switches keep their alignment), and leaves stack and locals as it found them: every offset behind
//! it moves by the same number. A replaced call takes the same arguments, gives the same result and has the same length.
//! A class that is not understood to the last byte is left alone. The format: Java Virtual Machine Specification, chapter 4.

mod code;
mod instructions;
mod pool;
mod reader;

use pool::{Added, Pool};
use reader::{Reader, put_u16, put_u32};

/// A call of an instance or interface method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Internal name of the class that it is made on.
    pub class: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Its descriptor.
    pub descriptor: &'static str,
}

/// A change to a method. The methods of the helper class are static.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At entry: `Helper.name(argument)`, which takes an object and gives nothing.
    Tell {
        /// The helper's method.
        name: &'static str,
        /// What it is told.
        argument: Argument,
    },
    /// At entry: `Helper.name(argument, other)`.
    TellBoth {
        /// The helper's method, which takes an object for each that it is told, numbers as they are, and gives nothing.
        name: &'static str,
        /// What it is told.
        arguments: [Argument; 2],
    },
    /// At entry: a parameter becomes what `Helper.name(argument, parameter)` gives.
    Set {
        /// The helper's method.
        name: &'static str,
        /// What it is told besides.
        argument: Argument,
        /// The type of the parameter, the first one of that type; no object.
        parameter: &'static str,
    },
    /// At entry: `Helper.name()`.
    Notify {
        /// The helper's method.
        name: &'static str,
    },
    /// At entry: if `Helper.guard(this)`, the method returns what `Helper.name(this, parameters...)` returns.
    Delegate {
        /// Takes an object and gives a boolean.
        guard: &'static str,
        /// Takes an object and the method's parameters, and gives what the method gives.
        name: &'static str,
    },
    /// The call is replaced by one of `Helper.name`, which takes the receiver and the parameters.
    Replace {
        /// What is replaced, wherever it stands in the method.
        call: Call,
        /// The helper's method.
        name: &'static str,
        /// Its descriptor.
        descriptor: &'static str,
    },
}

/// An argument of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The object that it is called on. (Not of constructors: there is none yet.)
    This,
    /// The first one whose type begins with these characters.
    Of(&'static str),
}

/// Which methods of a class are changed, and how.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The method's name.
    pub method: &'static str,
    /// What its descriptor contains.
    pub descriptor: &'static str,
    /// The change.
    pub change: Change,
}

/// Applies `rules` to a class file. Gives the changed class, and for each rule how often it applied; `None` where nothing did or the
/// file is not understood.
pub fn change(file: &[u8], helper: &str, rules: &[Rule]) -> Option<(Vec<u8>, Vec<usize>)> {
    let mut reader = Reader::new(file);
    if reader.u32()? != 0xcafe_babe {
        return None;
    }
    reader.u32()?; // version
    let pool = Pool::read(&mut reader)?;
    let mut added = Added::new(&pool, helper);
    let after_pool = reader.position();
    reader.take(6)?; // access flags, this, super
    let interfaces = reader.u16()?;
    reader.take(usize::from(interfaces) * 2)?;
    let fields = reader.u16()?;
    for _ in 0..fields {
        reader.take(6)?;
        skip_attributes(&mut reader)?;
    }
    let before_methods = reader.position();
    let mut methods = Vec::with_capacity(file.len());
    let mut applied = vec![0; rules.len()];
    let count = reader.u16()?;
    put_u16(&mut methods, count);
    for _ in 0..count {
        method(
            &mut reader,
            &pool,
            &mut added,
            rules,
            &mut applied,
            &mut methods,
        )?;
    }
    let rest = reader.position();
    skip_attributes(&mut reader)?;
    if !reader.is_empty() || applied.iter().all(|n| *n == 0) {
        return None;
    }
    let (more, entries) = added.finish()?;
    let mut out = Vec::with_capacity(file.len() + more.len() + 64);
    out.extend_from_slice(file.get(..8)?);
    put_u16(&mut out, entries);
    out.extend_from_slice(file.get(10..after_pool)?);
    out.extend_from_slice(&more);
    out.extend_from_slice(file.get(after_pool..before_methods)?);
    out.extend_from_slice(&methods);
    out.extend_from_slice(file.get(rest..)?);
    Some((out, applied))
}

fn skip_attributes(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..reader.u16()? {
        reader.u16()?;
        let len = reader.u32()?;
        reader.take(len as usize)?;
    }
    Some(())
}

/// Copies a method with what the rules change in it.
fn method(
    reader: &mut Reader<'_>,
    pool: &Pool<'_>,
    added: &mut Added,
    rules: &[Rule],
    applied: &mut [usize],
    out: &mut Vec<u8>,
) -> Option<()> {
    const STATIC: u16 = 8;
    let access = reader.u16()?;
    let (name_index, descriptor_index) = (reader.u16()?, reader.u16()?);
    let (name, descriptor) = (pool.utf8(name_index)?, pool.utf8(descriptor_index)?);
    for n in [access, name_index, descriptor_index] {
        put_u16(out, n);
    }
    let mine = |rule: &Rule| {
        rule.method.as_bytes() == name
            && memchr::memmem::find(descriptor, rule.descriptor.as_bytes()).is_some()
    };
    let attributes = reader.u16()?;
    put_u16(out, attributes);
    for _ in 0..attributes {
        let name = reader.u16()?;
        let len = reader.u32()? as usize;
        let content = reader.take(len)?;
        put_u16(out, name);
        let mut code = content.to_vec();
        if pool.utf8(name)? == b"Code" {
            let signature = code::Signature::parse(descriptor, access & STATIC == 0)?;
            for (rule, applied) in rules
                .iter()
                .zip(&mut *applied)
                .filter(|(rule, _)| mine(rule))
            {
                if let Some(changed) = code::apply(&code, &signature, pool, added, &rule.change)? {
                    code = changed;
                    *applied += 1;
                }
            }
        }
        put_u32(out, u32::try_from(code.len()).ok()?);
        out.extend_from_slice(&code);
    }
    Some(())
}

#[cfg(test)]
mod tests;
