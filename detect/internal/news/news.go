// Package news tells which revisions of findings are worth telling when many come
// at once.
package news

// A List holds findings. Of the revisions of one it holds the first, those that
// raise its severity, and the last. The zero List is empty.
type List[F any] struct {
	Findings []F
	standing map[string]int // by ID, the place of a revision that a later one replaces
}

// Add takes in a finding. Its first revision is number 0; raised says that this
// one raises the severity.
func (l *List[F]) Add(f F, id string, revision int, raised bool) {
	if revision > 0 {
		if i, ok := l.standing[id]; ok {
			l.Findings[i] = f
			if raised {
				delete(l.standing, id)
			}
			return
		}
		if !raised {
			if l.standing == nil {
				l.standing = make(map[string]int)
			}
			l.standing[id] = len(l.Findings)
		}
	}
	l.Findings = append(l.Findings, f)
}

// Reset empties the list. It keeps the memory for the next findings, but nothing
// that was in it.
func (l *List[F]) Reset() {
	clear(l.Findings)
	clear(l.standing)
	l.Findings = l.Findings[:0]
}
