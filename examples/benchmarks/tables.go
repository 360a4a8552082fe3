//go:build unix

package main

import "fmt"

// What is measured of a case, by the kind of table.
var (
	inMemoryColumns = []column{{"MB/s", rate, 0, ""}, {"ns/event", cost, 0, ""}, {"allocs/event", allocs, 2, ""}, {"times", rate, 2, theBase}}
	fileColumns     = []column{{"MB/s", rate, 0, ""}, {"ns/event", cost, 0, ""}, {"allocs/event", allocs, 2, ""}, {"peak MB", peak, 0, ""}, {"times", rate, 2, theBase}}
	detectColumns   = []column{
		{"ns/event", cost, 0, ""}, {"times", cost, 2, theBase}, {"1,000 events/s", eventRate, 0, ""}, {"allocs/event", allocs, 3, ""},
		{"findings/million", findings, 0, ""}, {"loads/event", loads, 3, ""}, {"heap/profile", heap, 0, ""}, {"resident MB", resident, 0, ""},
	}
	duckColumns = []column{
		{"MB/s", rate, 0, ""}, {"ns/event", cost, 0, ""}, {"peak MB", peak, 0, ""},
		{"times reading once", rate, 2, duckOnce}, {"its memory", peak, 2, duckOnce},
		{"times reading for each", rate, 2, duckEach}, {"its memory", peak, 2, duckEach},
	}
)

// tables lists all tables, in the order in which they are printed.
func tables(o *options) []*table {
	lines, big, small := input{days: o.days}, input{days: o.days, perFile: 1500, gzip: true}, input{days: o.days, perFile: 10, gzip: true}
	long := func(in input) input { in.days *= 6; in.real = true; return in }
	return []*table{
		{
			name: "lines", title: "Decoding JSON lines", commands: []string{"decode"}, input: lines, columns: inMemoryColumns,
			cases: decodeCases(true),
		},
		{
			name: "files", title: "Decoding files of 1,500 records", commands: []string{"decode"}, input: input{days: o.days, perFile: 1500}, columns: inMemoryColumns,
			cases: decodeCases(false),
		},
		{
			name: "gzip", title: "Decoding gzip files of 1,500 records", commands: []string{"gzip"}, input: big, columns: inMemoryColumns,
			cases: gzipCases(),
		},
		{
			name: "small", title: "Decoding gzip files of 10 records", commands: []string{"gzip"}, input: small, columns: inMemoryColumns,
			cases: gzipCases(),
		},
		{
			name: "principals", title: "All rules on decoded events, by the number of principals", commands: []string{"detect", "grow", "memory"}, columns: detectColumns,
			cases: principalCases(o.principals),
		},
		{
			name: "rules", title: "Some rules on decoded events of 10,000 principals", commands: []string{"grow"}, columns: detectColumns,
			cases: []benchCase{
				detectCase{principals: min(10_000, o.principals), rules: 1}.decoded("1 rule"),
				detectCase{principals: min(10_000, o.principals), rules: 10}.decoded("10 rules"),
				detectCase{principals: min(10_000, o.principals), rules: 40}.decoded("40 rules"),
				detectCase{principals: min(10_000, o.principals)}.decoded("all rules"),
			},
		},
		{
			name: "scan", title: "Gzip files of 1,500 records to findings, all rules", commands: []string{"scan"}, input: long(big), columns: fileColumns,
			cases: scanCases(0.6),
		},
		{
			name: "scansmall", title: "Gzip files of 10 records to findings, all rules", commands: []string{"scan"}, input: long(small), columns: fileColumns,
			cases: scanCases(0.8),
		},
		{
			name: "cores", title: "Gzip files of 1,500 records to findings, by the number of cores", commands: []string{"scan", "grow"}, input: long(big),
			columns: []column{{"1,000 events/s, best round", bestWall, 0, ""}, {"times", bestWall, 2, theBase}, {"ns/event (CPU)", cost, 0, ""}, {"peak MB", peak, 0, ""}},
			cases: []benchCase{
				detectFiles("1 core", 1),
				detectFiles("2 cores", 2).with(target{bestWall, theBase, 1.7, "times"}),
			},
		},
		{
			name: "filesizes", title: "Gzip files to findings, by the number of records in a file", commands: []string{"grow"}, columns: fileColumns,
			cases: []benchCase{
				detectFiles("1,500 records", 1).on(long(big)),
				detectFiles("150 records", 1).on(long(input{days: o.days, perFile: 150, gzip: true})),
				detectFiles("40 records", 1).on(long(input{days: o.days, perFile: 40, gzip: true})),
				detectFiles("10 records", 1).on(long(small)),
			},
		},
		{
			name: "records", title: "Bytes of a principal's record, of 4 times the account's principals with attacks", commands: []string{"memory"},
			columns: []column{{"records", records, 0, ""}, {"p50", p50, 0, ""}, {"mean", mean, 0, ""}, {"p99", p99, 0, ""}, {"largest", largest, 0, ""}, {"MaxBytes", bound, 0, ""}},
			cases: []benchCase{
				recordSizes("after 3 weeks", 21, false),
				recordSizes("after 5 weeks", 35, false),
				recordSizes("5 weeks, all of it one principal's", 35, true),
			},
		},
		{
			name: "million", title: "Principals in memory, all rules; typical are those with records of middling size", commands: []string{"memory"},
			columns: []column{{"heap/profile", heap, 0, ""}, {"bytes/record", mean, 0, ""}, {"resident MB", resident, 0, ""}},
			cases: []benchCase{
				detectCase{principals: o.principals, typical: true}.decoded(group(o.principals) + " typical ones' profiles in the cache"),
				detectCase{principals: o.principals, typical: true, cache: 100_000}.decoded(
					group(o.principals)+" typical ones, a cache of 100,000", millionFits(o.principals)...),
				detectCase{principals: o.principals, typical: true}.storedRecords(group(o.principals) + " typical ones' records in baseline.Memory"),
				detectCase{principals: o.principals}.storedRecords(group(o.principals) + " principals' records in baseline.Memory"),
			},
		},
		{
			name: "hundred", title: "Memory of a scan, by the length of the log in gzip files of 1,500 records", commands: []string{"memory"},
			columns: []column{{"peak MB", peak, 0, ""}, {"times", peak, 2, theBase}, {"MB/s", rate, 0, ""}},
			cases:   hundredCases("", func(name string) benchCase { return eachAnew(detectEach(name, nil)) }),
		},
		{
			name: "hundredscan", title: "Memory of examples/scan, by the length of the log", commands: []string{"memory"},
			columns: []column{{"peak MB", peak, 0, ""}, {"times", peak, 2, theBase}, {"MB/s", rate, 0, ""}},
			cases:   hundredCases("examples/scan, ", scanProgram),
		},
		duckTable("ducklines", "JSON lines", long(lines), 1),
		duckTable("duckgzip", "gzip files of 1,500 records", long(big), 3),
		duckTable("ducksmall", "gzip files of 10 records", long(small), 5),
	}
}

// with adds targets to a case.
func (c benchCase) with(targets ...target) benchCase {
	c.targets = append(c.targets, targets...)
	return c
}

// on gives a case an input of its own.
func (c benchCase) on(in input) benchCase {
	c.input = in
	return c
}

// principalCases are all numbers of principals up to the most, and variations.
func principalCases(most int) []benchCase {
	const small, large = 10_000, 1_000_000
	one := detectCase{principals: min(small, most)}
	keyed, known := one, one
	keyed.keyed, known.known = true, true
	first := one.decoded("10,000").with(target{cost, "", 1500, "ns/event"})
	first.base = true
	cases := []benchCase{detectCase{principals: min(1000, most)}.decoded("1,000"), first}
	if most > small {
		cases = append(cases, detectCase{principals: min(100_000, most)}.decoded(group(min(100_000, most))))
	}
	if most > 100_000 {
		million := detectCase{principals: min(large, most)}
		behind := million
		behind.cache = 100_000
		goal := target{cost, theBase, 2.5, "times 10,000's"}
		cases = append(cases,
			million.decoded(group(million.principals)).with(goal),
			behind.decoded(group(million.principals)+", a cache of 100,000", millionFits(million.principals)...).with(goal))
	}
	return append(cases,
		keyed.decoded("10,000, only events with a principal"),
		known.decoded("10,000, the organisation known"))
}

// millionFits is the target for the memory of a million principals, if there
// are so many.
func millionFits(principals int) []target {
	if principals < 1_000_000 {
		return nil
	}
	return []target{{resident, "", 4000, "resident MB"}}
}

// group writes a number with commas.
func group(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", group(n/1000), n%1000)
}

func scanCases(limit float64) []benchCase {
	goal := target{rate, theBase, limit, "times"}
	return []benchCase{
		readFiles("compress/gzip alone", standard()),
		readFiles("klauspost/compress alone", klauspost()),
		libdeflateCase("libdeflate alone", readFiles),
		detectFiles("cloudtell", 1),
		detectEach("cloudtell, Reuse", nil).with(goal),
		detectEach("cloudtell, Reuse, klauspost/compress", klauspost()),
		libdeflateCase("cloudtell, Reuse, libdeflate", detectEach).with(goal),
		scanProgram("examples/scan, the whole process"),
	}
}

func hundredCases(prefix string, of func(name string) benchCase) []benchCase {
	return []benchCase{
		of(prefix + "1 day").on(input{days: 1, perFile: 1500, gzip: true}),
		of(prefix + "10 days").on(input{days: 10, perFile: 1500, gzip: true}),
		of(prefix + "100 days").on(input{days: 100, perFile: 1500, gzip: true}).with(target{peak, theBase, 1.3, "times"}),
	}
}
