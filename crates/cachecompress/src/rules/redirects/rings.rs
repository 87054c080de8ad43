//! The search for steps that lead back.

/// Finds a ring of steps, each of which leads to the one at its index, or to none.
pub(super) fn find_ring(next: &[Option<usize>]) -> Option<Vec<usize>> {
    // The walk by which a step was first met.
    let mut walks = vec![None; next.len()];
    for start in 0..next.len() {
        let mut at = Some(start);
        while let Some(index) = at {
            match walks[index] {
                Some(walk) if walk == start => return Some(ring_of(next, index)),
                Some(_) => break,
                None => walks[index] = Some(start),
            }
            at = next[index];
        }
    }
    None
}

fn ring_of(next: &[Option<usize>], start: usize) -> Vec<usize> {
    let mut ring = vec![start];
    let mut at = next[start];
    while let Some(index) = at.filter(|index| *index != start) {
        ring.push(index);
        at = next[index];
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_found_from_its_first_step_on() {
        assert_eq!(find_ring(&[]), None);
        assert_eq!(find_ring(&[Some(1), Some(2), None, Some(1)]), None);
        assert_eq!(find_ring(&[None, Some(2), Some(3), Some(2)]), Some(vec![2, 3]));
        assert_eq!(find_ring(&[Some(0)]), Some(vec![0]));
    }
}
