package incident

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// identifies reports whether a principal's key tells it from others.
func identifies(principal string) bool {
	return principal != "" && principal != anonymous &&
		!strings.HasPrefix(principal, "service:") && !strings.HasPrefix(principal, "unknown:")
}

const anonymous = "anonymous"

// identifiesKey reports whether an access key id is one.
func identifiesKey(id string) bool { return id != "" && !strings.HasPrefix(id, "HIDDEN_") }

// An entity is what findings can have in common.
type entity struct {
	kind entityKind
	name string
}

type entityKind uint8

const (
	byPrincipal entityKind = iota
	byAccessKey
	bySource
	byAnonymousSource
)

// A tie is a finding that has an entity. Of the findings that share one, two are
// joined if they are near each other and one of them is strong in it.
type tie struct {
	entity  entity
	finding int
	strong  bool
}

// connect returns the findings put together, each incident's in the order of
// fs, which is the order of incidents by their first finding. It sets each
// finding's Chain.
func (j *Joiner) connect(fs []*finding) [][]*finding {
	ties := j.ties(fs)
	slices.SortFunc(ties, func(a, b tie) int {
		return cmp.Or(cmp.Compare(a.entity.kind, b.entity.kind), cmp.Compare(a.entity.name, b.entity.name),
			fs[a.finding].First.Compare(fs[b.finding].First), cmp.Compare(a.finding, b.finding))
	})
	g := newGroups(len(fs))
	for len(ties) > 0 {
		n := slices.IndexFunc(ties, func(t tie) bool { return t.entity != ties[0].entity })
		if n < 0 {
			n = len(ties)
		}
		j.sweep(g, fs, ties[:n])
		ties = ties[n:]
	}
	var incidents [][]*finding
	number := make(map[int]int)
	for i, f := range fs {
		root := g.root(i)
		n, ok := number[root]
		if !ok {
			n = len(incidents)
			number[root], incidents = n, append(incidents, nil)
		}
		incidents[n] = append(incidents[n], f)
	}
	return incidents
}

// sweep joins the findings that share an entity, in the order of their First.
// It goes through them once: of all that it has joined, only the one that
// lasts longest can still be near a later one when no other is.
func (j *Joiner) sweep(g groups, fs []*finding, ties []tie) {
	strong := -1   // the strong one that lasts longest
	var weak []int // which a strong one may still join
	for _, t := range ties {
		near := func(i int) bool { return !fs[i].Last.Add(j.gap).Before(fs[t.finding].First) }
		if strong >= 0 && near(strong) {
			g.join(strong, t.finding)
		}
		if !t.strong {
			weak = append(weak, t.finding)
			continue
		}
		longest := -1
		for _, i := range weak {
			if !near(i) {
				continue
			}
			g.join(i, t.finding)
			if longest < 0 || fs[i].Last.After(fs[longest].Last) {
				longest = i
			}
		}
		weak = weak[:0]
		if longest >= 0 {
			weak = append(weak, longest)
		}
		if strong < 0 || fs[t.finding].Last.After(fs[strong].Last) {
			strong = t.finding
		}
	}
}

// ties lists what each finding can share with others.
func (j *Joiner) ties(fs []*finding) []tie {
	obtained := j.obtained()
	var ties []tie
	for i, f := range fs {
		add := func(kind entityKind, name string, strong bool) {
			ties = append(ties, tie{entity{kind, name}, i, strong})
		}
		if identifies(f.Principal) {
			add(byPrincipal, f.Principal, true)
		}
		if identifiesKey(f.AccessKeyID) {
			add(byAccessKey, f.AccessKeyID, true)
		}
		principals, keys := j.origin(f, obtained)
		for _, p := range principals {
			add(byPrincipal, p, true)
		}
		for _, k := range keys {
			add(byAccessKey, k, true)
		}
		f.Chain = principals
		if address, ok := j.address(f.SourceAddress); ok {
			add(bySource, address, f.aboutSource)
			if f.Principal == anonymous {
				add(byAnonymousSource, address, true)
			}
		}
	}
	return ties
}

// address returns a source as an address that means one host, or one network's
// way out, to everybody; false if it is none.
func (j *Joiner) address(source string) (string, bool) {
	ip, err := netip.ParseAddr(source)
	if err != nil {
		return "", false // a service, or AWS itself
	}
	ip = ip.Unmap()
	shared := slices.ContainsFunc(j.shared, func(p netip.Prefix) bool { return p.Contains(ip) })
	return ip.String(), ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared
}

// maxChain bounds the links that are followed back from one finding. Role
// chains in practice have two or three.
const maxChain = 16

// obtained sorts the links by what they issued, the latest first.
func (j *Joiner) obtained() map[string][]link {
	m := make(map[string][]link)
	for l := range j.links.all() {
		m[l.issued] = append(m[l.issued], l)
		if l.session != "" {
			m[l.session] = append(m[l.session], l)
		}
	}
	for _, ls := range m {
		slices.SortFunc(ls, func(a, b link) int { return compareLinks(b, a) })
	}
	return m
}

// origin follows the links back from a finding's credentials to the principals
// and keys that obtained them, nearest first. A link counts if it is within the
// gap of the finding, or of the link before.
func (j *Joiner) origin(f *finding, obtained map[string][]link) (principals, keys []string) {
	type hop struct {
		name        string
		first, last int64
	}
	hops := []hop{{f.holder(), f.First.UnixMilli(), f.Last.UnixMilli()}}
	gap, followed := j.gap.Milliseconds(), 0
	for i := 0; i < len(hops); i++ {
		h := hops[i]
		ls := obtained[h.name]
		n, _ := slices.BinarySearchFunc(ls, h.last+gap, func(l link, latest int64) int { return cmp.Compare(latest, l.millis) })
		for _, l := range ls[n:] {
			if l.millis < h.first-gap || followed == maxChain {
				break
			}
			followed++
			if l.issuer != "" && l.issuer != f.Principal && !slices.Contains(principals, l.issuer) {
				principals = append(principals, l.issuer)
			}
			if k := l.issuerKey; k != "" && k != f.AccessKeyID && !slices.Contains(keys, k) {
				keys = append(keys, k)
				hops = append(hops, hop{k, l.millis, l.millis})
			}
		}
	}
	return principals, keys
}

// groups is a union-find: the parent of each element, itself for a root.
type groups []int

func newGroups(n int) groups {
	g := make(groups, n)
	for i := range g {
		g[i] = i
	}
	return g
}

func (g groups) root(i int) int {
	for g[i] != i {
		g[i] = g[g[i]]
		i = g[i]
	}
	return i
}

// join makes two groups one. The lesser root stays.
func (g groups) join(a, b int) {
	a, b = g.root(a), g.root(b)
	g[max(a, b)] = min(a, b)
}

// timeline sorts findings by when they were first reported.
func timeline(a, b *finding) int {
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID))
}
