//! Changes to the code of one method.

use super::instructions;
use super::pool::{Added, Pool};
use super::reader::{Reader, put_u16, put_u32};
use super::{Argument, Call, Change};

/// What a method takes and gives.
pub(super) struct Signature<'a> {
    descriptor: &'a str,
    /// Type and local variable of each parameter.
    parameters: Vec<(&'a str, u8)>,
    /// Descriptor of what it returns.
    returns: &'a str,
    has_this: bool,
    /// Stack or local slots of all parameters, `this` included.
    slots: u8,
}

impl<'a> Signature<'a> {
    pub(super) fn parse(descriptor: &'a [u8], has_this: bool) -> Option<Self> {
        let descriptor = std::str::from_utf8(descriptor).ok()?;
        let (mut rest, returns) = descriptor.strip_prefix('(')?.split_once(')')?;
        let mut slots = u8::from(has_this);
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            let dimensions = rest.len() - rest.trim_start_matches('[').len();
            let end = match *rest.as_bytes().get(dimensions)? {
                b'L' => rest.find(';')? + 1,
                _ => dimensions + 1,
            };
            let (one, others) = rest.split_at_checked(end)?;
            parameters.push((one, slots));
            slots = slots.checked_add(if matches!(one, "J" | "D") { 2 } else { 1 })?;
            rest = others;
        }
        Some(Self {
            descriptor,
            parameters,
            returns,
            has_this,
            slots,
        })
    }

    /// Type and local variable of the first parameter whose type begins like that.
    fn find(&self, start: &str) -> Option<(&'a str, u8)> {
        let mut all = self.parameters.iter();
        all.find(|(of, _)| of.starts_with(start)).copied()
    }

    /// Pushes an argument. Gives the type as which a helper takes it; `None` where the method has no such one.
    fn push(&self, out: &mut Vec<u8>, argument: Argument) -> Option<&'a str> {
        const OBJECT: &str = "Ljava/lang/Object;";
        let (of, local) = match argument {
            Argument::This if self.has_this => (OBJECT, 0),
            Argument::This => return None,
            Argument::Of(start) => self.find(start)?,
        };
        load(out, of, local);
        Some(match of.as_bytes().first() {
            Some(b'L' | b'[') => OBJECT,
            _ => of,
        })
    }
}

fn load(out: &mut Vec<u8>, of: &str, local: u8) {
    out.push(match of.as_bytes().first() {
        Some(b'J') => 0x16,
        Some(b'F') => 0x17,
        Some(b'D') => 0x18,
        Some(b'L' | b'[') => 0x19,
        _ => 0x15,
    });
    out.push(local);
}

fn store_of(what: &str) -> u8 {
    match what.as_bytes().first() {
        Some(b'J') => 0x37,
        Some(b'F') => 0x38,
        Some(b'D') => 0x39,
        Some(b'L' | b'[') => 0x3a,
        _ => 0x36,
    }
}

fn return_of(what: &str) -> u8 {
    match what.as_bytes().first() {
        Some(b'V') => 0xb1,
        Some(b'J') => 0xad,
        Some(b'F') => 0xae,
        Some(b'D') => 0xaf,
        Some(b'L' | b'[') => 0xb0,
        _ => 0xac,
    }
}

const NOP: u8 = 0;
const ALOAD: u8 = 0x19;
const IFEQ: u8 = 0x99;
const INVOKEVIRTUAL: u8 = 0xb6;
const INVOKESTATIC: u8 = 0xb8;
const INVOKEINTERFACE: u8 = 0xb9;

fn invoke(out: &mut Vec<u8>, method: u16) {
    out.push(INVOKESTATIC);
    put_u16(out, method);
}

/// Applies a change to the content of a `Code` attribute. The inner `None`: it does not concern this method.
pub(super) fn apply(
    content: &[u8],
    signature: &Signature<'_>,
    pool: &Pool<'_>,
    added: &mut Added,
    change: &Change,
) -> Option<Option<Vec<u8>>> {
    let mut front = Vec::new();
    let mut branches = false;
    match *change {
        Change::Tell { name, argument } => {
            let Some(of) = signature.push(&mut front, argument) else {
                return Some(None);
            };
            invoke(&mut front, added.helper(name, &format!("({of})V"))?);
        }
        Change::TellBoth { name, arguments } => {
            let [one, other] = arguments.map(|argument| signature.push(&mut front, argument));
            let (Some(one), Some(other)) = (one, other) else {
                return Some(None);
            };
            invoke(&mut front, added.helper(name, &format!("({one}{other})V"))?);
        }
        Change::Set {
            name,
            argument,
            parameter,
        } => {
            let told = signature.push(&mut front, argument);
            let (Some(told), Some((of, local))) = (told, signature.find(parameter)) else {
                return Some(None);
            };
            load(&mut front, of, local);
            invoke(
                &mut front,
                added.helper(name, &format!("({told}{of}){of}"))?,
            );
            front.extend([store_of(of), local]);
        }
        Change::Notify { name } => invoke(&mut front, added.helper(name, "()V")?),
        Change::Delegate { guard, name } => {
            let descriptor = signature.descriptor.replacen('(', "(Ljava/lang/Object;", 1);
            front.extend([ALOAD, 0]);
            invoke(&mut front, added.helper(guard, "(Ljava/lang/Object;)Z")?);
            let branch = front.len();
            front.extend([IFEQ, 0, 0, ALOAD, 0]);
            for (of, local) in &signature.parameters {
                load(&mut front, of, *local);
            }
            invoke(&mut front, added.helper(name, &descriptor)?);
            front.push(return_of(signature.returns));
            let distance = u16::try_from(front.len() - branch).ok()?;
            front.splice(branch + 1..branch + 3, distance.to_be_bytes());
            branches = true;
        }
        Change::Replace {
            call,
            name,
            descriptor,
        } => {
            return replace(content, pool, &call, added.helper(name, descriptor)?);
        }
    }
    // At the front: what stands behind a return would need a frame of its own.
    let padding = front.len().next_multiple_of(4) - front.len();
    front.splice(..0, std::iter::repeat_n(NOP, padding));
    let insert = Insert {
        front,
        stack: u16::from(signature.slots).max(2),
        branches,
    };
    insert.into(content, pool, added).map(Some)
}

fn replace(content: &[u8], pool: &Pool<'_>, call: &Call, by: u16) -> Option<Option<Vec<u8>>> {
    const FRONT: usize = 8;
    let mut changed = content.to_vec();
    let len = Reader::new(content.get(4..)?).u32()? as usize;
    let code = content.get(FRONT..FRONT + len)?;
    let mut any = false;
    for instruction in instructions::each(code) {
        let (at, opcode) = instruction?;
        if !matches!(opcode, INVOKEVIRTUAL | INVOKEINTERFACE) {
            continue;
        }
        let method = pool.method(Reader::new(code.get(at + 1..)?).u16()?)?;
        if method != [call.class, call.name, call.descriptor].map(str::as_bytes) {
            continue;
        }
        let mut new = Vec::with_capacity(5);
        invoke(&mut new, by);
        if opcode == INVOKEINTERFACE {
            new.extend([NOP, NOP]);
        }
        changed.splice(FRONT + at..FRONT + at + new.len(), new);
        any = true;
    }
    Some(any.then_some(changed))
}

/// What is put before the first instruction.
struct Insert {
    front: Vec<u8>,
    /// Stack slots that it needs.
    stack: u16,
    /// Something in it jumps to the instruction behind it.
    branches: bool,
}

impl Insert {
    fn len(&self) -> u16 {
        self.front.len() as u16 // a few dozen
    }

    fn shift(&self, out: &mut Vec<u8>, offset: u16) -> Option<()> {
        put_u16(out, offset.checked_add(self.len())?);
        Some(())
    }

    fn into(self, content: &[u8], pool: &Pool<'_>, added: &mut Added) -> Option<Vec<u8>> {
        let mut reader = Reader::new(content);
        let mut out = Vec::with_capacity(content.len() + self.front.len() + 32);
        put_u16(&mut out, reader.u16()?.max(self.stack));
        put_u16(&mut out, reader.u16()?);
        let len = reader.u32()?;
        let new_len = len + u32::from(self.len());
        if new_len >= 0x1_0000 {
            return None;
        }
        put_u32(&mut out, new_len);
        out.extend_from_slice(&self.front);
        out.extend_from_slice(reader.take(len as usize)?);
        let handlers = reader.u16()?;
        put_u16(&mut out, handlers);
        for _ in 0..handlers {
            for _ in 0..3 {
                self.shift(&mut out, reader.u16()?)?;
            }
            put_u16(&mut out, reader.u16()?);
        }
        self.attributes(&mut reader, pool, added, &mut out)?;
        reader.is_empty().then_some(out)
    }

    fn attributes(
        &self,
        reader: &mut Reader<'_>,
        pool: &Pool<'_>,
        added: &mut Added,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let at = out.len();
        put_u16(out, 0);
        let (mut kept, mut has_frames) = (0u16, false);
        for _ in 0..reader.u16()? {
            let name = reader.u16()?;
            let len = reader.u32()? as usize;
            let content = reader.take(len)?;
            let changed = match pool.utf8(name)? {
                b"StackMapTable" => {
                    has_frames = true;
                    self.frames(content)?
                }
                b"LineNumberTable" => self.table(content, 4)?,
                b"LocalVariableTable" | b"LocalVariableTypeTable" => self.table(content, 10)?,
                // Their offsets are of no use to anyone at run time.
                b"RuntimeVisibleTypeAnnotations" | b"RuntimeInvisibleTypeAnnotations" => continue,
                _ => return None,
            };
            put_attribute(out, name, &changed)?;
            kept += 1;
        }
        if self.branches && !has_frames {
            let name = added.utf8("StackMapTable")?;
            put_attribute(out, name, &self.frames(&[0, 0])?)?;
            kept += 1;
        }
        out.splice(at..at + 2, kept.to_be_bytes());
        Some(())
    }

    /// A table whose rows, of so many bytes, begin with an offset.
    fn table(&self, content: &[u8], row: usize) -> Option<Vec<u8>> {
        let mut reader = Reader::new(content);
        let mut out = Vec::with_capacity(content.len());
        let rows = reader.u16()?;
        put_u16(&mut out, rows);
        for _ in 0..rows {
            self.shift(&mut out, reader.u16()?)?;
            out.extend_from_slice(reader.take(row - 2)?);
        }
        reader.is_empty().then_some(out)
    }

    /// The stack map: its first frame stands by its offset, each other by its distance from the one before.
    fn frames(&self, content: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(content);
        let mut out = Vec::with_capacity(content.len() + 8);
        let count = reader.u16()?;
        put_u16(&mut out, count);
        for n in 0..count {
            let kind = reader.u8()?;
            let delta = match kind {
                0..=63 => u16::from(kind),
                64..=127 => u16::from(kind - 64),
                247..=255 => reader.u16()?,
                _ => return None,
            };
            let delta = if n > 0 {
                delta
            } else if self.branches && delta > 0 {
                // A frame of our own, where our branch leads to, comes before.
                out.splice(0..2, count.checked_add(1)?.to_be_bytes());
                put_same(&mut out, self.len());
                delta - 1
            } else {
                delta.checked_add(self.len())?
            };
            match kind {
                0..=63 | 251 => put_same(&mut out, delta),
                64..=127 | 247 => {
                    out.push(247);
                    put_u16(&mut out, delta);
                    self.types(&mut reader, &mut out, 1)?;
                }
                248..=250 => {
                    out.push(kind);
                    put_u16(&mut out, delta);
                }
                252..=254 => {
                    out.push(kind);
                    put_u16(&mut out, delta);
                    self.types(&mut reader, &mut out, u16::from(kind - 251))?;
                }
                _ => {
                    out.push(kind);
                    put_u16(&mut out, delta);
                    for _ in 0..2 {
                        let types = reader.u16()?;
                        put_u16(&mut out, types);
                        self.types(&mut reader, &mut out, types)?;
                    }
                }
            }
        }
        if count == 0 && self.branches {
            out.splice(0..2, 1u16.to_be_bytes());
            put_same(&mut out, self.len());
        }
        reader.is_empty().then_some(out)
    }

    fn types(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>, count: u16) -> Option<()> {
        for _ in 0..count {
            let tag = reader.u8()?;
            out.push(tag);
            match tag {
                0..=6 => {}
                7 => put_u16(out, reader.u16()?),
                8 => self.shift(out, reader.u16()?)?, // where the object was made
                _ => return None,
            }
        }
        Some(())
    }
}

fn put_same(out: &mut Vec<u8>, delta: u16) {
    match u8::try_from(delta) {
        Ok(short @ 0..=63) => out.push(short),
        _ => {
            out.push(251);
            put_u16(out, delta);
        }
    }
}

fn put_attribute(out: &mut Vec<u8>, name: u16, content: &[u8]) -> Option<()> {
    put_u16(out, name);
    put_u32(out, u32::try_from(content.len()).ok()?);
    out.extend_from_slice(content);
    Some(())
}
