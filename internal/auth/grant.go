package auth

// Grant is the coarse right that a tenant's console shows: may a role produce on a vhost, may it
// consume from it.
type Grant struct {
	Produce bool
	Consume bool
}

// Permission is the grant as the three patterns that are stored. No grant at all matches nothing.
func (g Grant) Permission() Permission {
	p := Permission{Configure: "^$", Write: "^$", Read: "^$"}
	if g.Produce || g.Consume {
		p.Configure = ".*"
	}
	if g.Produce {
		p.Write = ".*"
	}
	if g.Consume {
		p.Read = ".*"
	}
	return p
}

// GrantOf is how a permission shows as a grant: produce when it may write everything, consume when
// it may read everything. Finer patterns show as no grant; show the patterns then.
func GrantOf(p Permission) Grant {
	return Grant{Produce: matchesAll(p.Write), Consume: matchesAll(p.Read)}
}
