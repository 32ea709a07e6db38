//! Who may do something with a node: what its owner, its lessee and the operator need for it. One rule for requests about a node and
//! for what an operation does on another node in their name.

use crate::{Node, Principal, Role};

/// The roles that something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Of a caller without a project.
    pub system: Role,
    /// Of the project that owns the node.
    pub owner: Role,
    /// Of the project that has leased it; nothing where a lessee may not.
    pub lessee: Option<Role>,
}

impl Rights {
    /// To use the machine: its owner's members, its lessee's administrators.
    pub const USE: Self = Self { system: Role::Member, owner: Role::Member, lessee: Some(Role::Admin) };
    /// To switch it on and off: the members of both.
    pub const POWER: Self = Self { system: Role::Member, owner: Role::Member, lessee: Some(Role::Member) };

    /// Whether somebody may do it with a node of this owner and this lessee.
    pub fn allow(self, who: &Principal, owner: Option<&str>, lessee: Option<&str>) -> bool {
        let enough = |least: Role| who.role().is_some_and(|role| role >= least);
        match who.project.as_deref() {
            None => enough(self.system),
            project => (owner == project && enough(self.owner)) || (lessee == project && self.lessee.is_some_and(enough)),
        }
    }

    /// The same with this node.
    pub fn allow_with(self, who: &Principal, node: &Node) -> bool {
        self.allow(who, node.owner.as_deref(), node.lessee.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_count_in_the_project_that_the_node_is_of() {
        let may = |rights: Rights, role: Role, project: Option<&str>| {
            let roles = vec![role.to_string()];
            let who = Principal { user: "ada".into(), project: project.map(str::to_owned), roles, source: None };
            rights.allow(&who, Some("own"), Some("lease"))
        };
        let least = |rights, project| Role::ALL.into_iter().find(|role| may(rights, *role, project));
        for (rights, lessee) in [(Rights::USE, Role::Admin), (Rights::POWER, Role::Member)] {
            assert_eq!(least(rights, None), Some(Role::Member));
            assert_eq!(least(rights, Some("own")), Some(Role::Member));
            assert_eq!(least(rights, Some("lease")), Some(lessee));
            assert_eq!(least(rights, Some("stranger")), None);
        }
        assert_eq!(least(Rights { lessee: None, ..Rights::USE }, Some("lease")), None);
        let somebody = Principal { project: Some("p".into()), ..Principal::noauth() };
        assert!(!Rights::USE.allow(&somebody, None, None), "of nobody's node no project is the owner");
        assert!(!Rights::USE.allow(&Principal::agent(), None, None));
    }
}
