package detect

import (
	"log/slog"
	"maps"
	"slices"
)

// LogValue implements [slog.LogValuer]: a group with the names that the JSON form
// has.
func (s Stats) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.Int64("events", s.Events),
		slog.Int64("evaluated", s.Evaluated),
		slog.Int64("duplicate", s.Duplicate),
		slog.Int64("late", s.Late),
		slog.Int64("rejected", s.Rejected),
		slog.Int64("findings", s.Findings),
	}
	if len(s.Suppressed) > 0 {
		var rules []slog.Attr
		for _, rule := range slices.Sorted(maps.Keys(s.Suppressed)) {
			rules = append(rules, slog.Int64(rule, s.Suppressed[rule]))
		}
		attrs = append(attrs, slog.Attr{Key: "suppressed", Value: slog.GroupValue(rules...)})
	}
	return slog.GroupValue(append(attrs,
		slog.Int64("profiles", s.Profiles),
		slog.Int64("loads", s.Loads),
		slog.Int64("saves", s.Saves),
	)...)
}
