//! Maglev's lookup table (Eisenbud et al., NSDI 2016, section 3.4). Each member fills entries in the order of its own
//! permutation, one each turn, so every member gets almost the same share and a change of members moves few others.

use crate::layout::{Addr, BackendValue};

/// Larger tables cost more than their evenness gains.
pub const MAX_SIZE: u32 = 131_071;

/// Indexes into `members`, `size` of them. The same members in any order give every entry the same member.
/// Errors: size not prime, above MAX_SIZE or smaller than the number of members; no members.
pub fn table(members: &[BackendValue], size: u32) -> Result<Vec<u32>, String> {
    if !is_prime(size) || size > MAX_SIZE {
        return Err(format!(
            "a Maglev table has a prime number of entries up to {MAX_SIZE}, not {size}"
        ));
    }
    if members.is_empty() || members.len() > size as usize {
        return Err(format!(
            "a Maglev table of {size} entries can't hold {} backends",
            members.len()
        ));
    }
    let mut order: Vec<u32> = (0..members.len() as u32).collect();
    order.sort_by_key(|&index| name(&members[index as usize]));
    let size64 = u64::from(size);
    let mut next: Vec<u64> = Vec::with_capacity(order.len());
    let mut skip: Vec<u64> = Vec::with_capacity(order.len());
    for &index in &order {
        let member = &members[index as usize];
        next.push(hash(member, 1) % size64);
        skip.push(if size > 2 {
            hash(member, 2) % (size64 - 1) + 1
        } else {
            1
        });
    }
    const FREE: u32 = u32::MAX;
    let mut table = vec![FREE; size as usize];
    let mut filled = 0;
    loop {
        for (turn, &index) in order.iter().enumerate() {
            while table[next[turn] as usize] != FREE {
                next[turn] = (next[turn] + skip[turn]) % size64;
            }
            table[next[turn] as usize] = index;
            filled += 1;
            if filled == size {
                return Ok(table);
            }
        }
    }
}

fn name(member: &BackendValue) -> (Addr, u16) {
    (member.addr, u16::from_be(member.port_be))
}

/// FNV-1a with splitmix64's finish: stable over versions and machines, which the standard library's hash is not.
fn hash(member: &BackendValue, seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in member.addr.iter().chain(&member.port_be.to_ne_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn is_prime(number: u32) -> bool {
    number >= 2
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address;

    fn members(count: usize) -> Vec<BackendValue> {
        (0..count)
            .map(|index| BackendValue {
                addr: address::encode(std::net::Ipv4Addr::from(0x0af4_0100 + index as u32).into()),
                port_be: 80_u16.to_be(),
                pad: [0; 6],
            })
            .collect()
    }

    fn shares(table: &[u32], count: usize) -> Vec<usize> {
        let mut shares = vec![0; count];
        for &index in table {
            shares[index as usize] += 1;
        }
        shares
    }

    #[test]
    fn every_backend_gets_the_same_share_within_one_in_a_hundred() {
        for count in [1, 2, 3, 10, 40, 163] {
            let shares = shares(&table(&members(count), 16381).expect("a table"), count);
            let (least, most) = (
                shares.iter().min().expect("one"),
                shares.iter().max().expect("one"),
            );
            assert!(
                (most - least) * 100 <= 16381 / count + 100,
                "{count}: {least} to {most}"
            );
        }
    }

    #[test]
    fn a_backend_that_leaves_moves_few_entries_of_the_others() {
        let all = members(10);
        let before = table(&all, 1021).expect("a table");
        let after = table(&all[..9], 1021).expect("a table");
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| **before != 9 && before != after)
            .count();
        assert!(
            moved < 1021 / 10,
            "{moved} of 1021 entries moved between backends that stayed"
        );
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let forward = members(7);
        let reversed: Vec<BackendValue> = forward.iter().rev().copied().collect();
        let address = |table: Vec<u32>, members: &[BackendValue]| -> Vec<Addr> {
            table
                .into_iter()
                .map(|index| members[index as usize].addr)
                .collect()
        };
        let (one, other) = (
            table(&forward, 251).expect("a table"),
            table(&reversed, 251).expect("a table"),
        );
        assert_eq!(address(one, &forward), address(other, &reversed));
    }

    #[test]
    fn the_table_is_the_same_in_every_version() {
        let table = table(&members(3), 13).expect("a table");
        assert_eq!(table, [0, 0, 0, 1, 2, 1, 2, 1, 1, 0, 2, 2, 0]);
    }

    #[test]
    fn sizes_that_are_not_prime_or_too_small_are_refused() {
        for size in [0, 1, 4, 100, 1_000_003] {
            assert!(table(&members(1), size).is_err(), "{size}");
        }
        assert!(table(&members(3), 2).is_err());
        assert!(table(&[], 13).is_err());
        assert_eq!(
            table(&members(2), 2).map(|table| shares(&table, 2)),
            Ok(vec![1, 1])
        );
    }
}
