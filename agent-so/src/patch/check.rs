//! Whether the beginning of a function can be overwritten by a jump.
//!
//! The back ends look at the instructions that they move and at nothing else. What can go wrong is elsewhere: a branch in the rest of
//! the body that lands behind the first byte of the jump, a body that ends before the jump does, and bytes that
//! are not the function's own any more, because somebody else was there first.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};

/// Why a function is left alone.
pub(super) type Refusal = &'static str;

/// Checks a function of `body` bytes at address `ip` whose first `patch` bytes will be overwritten. `code` is the body and some of
/// what follows it.
pub(super) fn check(code: &[u8], body: usize, ip: usize, patch: usize) -> Result<(), Refusal> {
    if body == 0 || body > code.len() {
        return Err("its size is not known");
    }
    let moved = moved(code, body, ip, patch)?;
    let inside = ip as u64 + 1..(ip + moved) as u64;
    for instruction in decode(&code[..body], ip) {
        if instruction.is_invalid() {
            return Err("it cannot be decoded");
        }
        if branch(&instruction).is_some_and(|target| inside.contains(&target)) {
            return Err("it branches into its own beginning");
        }
        if instruction.is_ip_rel_memory_operand() {
            let target = instruction.ip_rel_memory_address();
            // Its own address it may take, but not read what is there.
            let reads = target == ip as u64 && instruction.mnemonic() != Mnemonic::Lea;
            if reads || inside.contains(&target) {
                return Err("it refers to its own beginning");
            }
        }
    }
    Ok(())
}

/// How many bytes the instructions that have to move take.
fn moved(code: &[u8], body: usize, ip: usize, patch: usize) -> Result<usize, Refusal> {
    if is_patched(code, ip) {
        return Err("it begins with a jump: somebody else replaced it, or a debugger stops there");
    }
    let mut end = 0;
    for instruction in decode(&code[..body], ip) {
        if instruction.is_invalid() {
            return Err("it cannot be decoded");
        }
        if pushes_its_own_address(&instruction) {
            return Err("it asks for its own address");
        }
        end += instruction.len();
        if end >= patch {
            return Ok(end);
        }
        if leaves(&instruction) {
            break;
        }
    }
    if is_padding(&code[end..], patch - end) {
        Ok(end)
    } else {
        Err("it is too short")
    }
}

/// Whether the first instructions are those that hooking tools and debuggers write.
fn is_patched(code: &[u8], ip: usize) -> bool {
    let mut own = decode(code, ip).filter(|i| i.mnemonic() != Mnemonic::Endbr64);
    let (Some(first), second) = (own.next(), own.next()) else {
        return true;
    };
    let second = second.unwrap_or_default();
    match first.mnemonic() {
        Mnemonic::Jmp | Mnemonic::Int3 => true,
        Mnemonic::Mov if first.op1_kind() == OpKind::Immediate64 => {
            second.flow_control() == FlowControl::IndirectBranch
        }
        Mnemonic::Push => second.flow_control() == FlowControl::Return,
        _ => false,
    }
}

/// `call` to what follows it: the position-independent way to ask where one is.
fn pushes_its_own_address(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::Call
        && branch(instruction) == Some(instruction.next_ip())
}

fn leaves(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
    )
}

/// Whether at least `len` bytes are what compilers put between functions.
fn is_padding(code: &[u8], len: usize) -> bool {
    let mut end = 0;
    for instruction in decode(code, 0) {
        if end >= len || !matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3) {
            break;
        }
        end += instruction.len();
    }
    end >= len
}

fn branch(instruction: &Instruction) -> Option<u64> {
    matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    )
    .then(|| instruction.near_branch_target())
}

fn decode(code: &[u8], ip: usize) -> impl Iterator<Item = Instruction> {
    let mut decoder = Decoder::with_ip(64, code, ip as u64, DecoderOptions::NONE);
    std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()))
}

#[cfg(test)]
mod tests;
