package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
)

// The measures of an incident's chart, in units of its drawing.
const (
	chartLeft  = 150 // where time begins; the names are left of it
	chartRight = 970
	laneHeight = 22
	chartTop   = 20 // the marks of time are above
	maxMarks   = 5
)

// A chart draws an incident in time: a lane for each stage, in it a dot for each
// finding where it was first reported, and a line for as long as it goes on.
type chart struct {
	Height int
	Lanes  []lane
	Marks  []mark
}

type lane struct {
	Name string
	Y    int
	Dots []dot
}

type dot struct {
	X, From, To float64
	Severity    detect.Severity
	Title       string
	At          time.Time
}

type mark struct {
	X    float64
	Text string
}

// newChart returns nil for an incident that is over in a moment: there is
// nothing to see.
func newChart(in *incident.Incident) *chart {
	span := in.Last.Sub(in.First)
	if span < time.Minute || len(in.Timeline) < 2 {
		return nil
	}
	x := func(t time.Time) float64 {
		at := float64(t.Sub(in.First)) / float64(span)
		return round(chartLeft + min(max(at, 0), 1)*(chartRight-chartLeft))
	}
	c := &chart{}
	for s := incident.NoStage; s <= incident.Collection; s++ {
		l := lane{Name: s.String(), Y: chartTop + len(c.Lanes)*laneHeight + laneHeight/2}
		if s == incident.NoStage {
			l.Name = "other"
		}
		for _, step := range in.Timeline {
			if step.Stage == s {
				l.Dots = append(l.Dots, dot{x(step.Time), x(step.First), x(step.Last), step.Severity, step.Title, step.Time})
			}
		}
		if l.Dots != nil {
			// What is worse is drawn over what is not.
			slices.SortStableFunc(l.Dots, func(a, b dot) int { return cmp.Compare(a.Severity, b.Severity) })
			c.Lanes = append(c.Lanes, l)
		}
	}
	layout := "15:04"
	if span > 4*24*time.Hour {
		layout = "Jan 2"
	} else if in.First.UTC().Day() != in.Last.UTC().Day() {
		layout = "Jan 2 15:04"
	}
	for i := range maxMarks {
		at := in.First.Add(span * time.Duration(i) / (maxMarks - 1))
		c.Marks = append(c.Marks, mark{x(at), at.UTC().Format(layout)})
	}
	c.Height = chartTop + len(c.Lanes)*laneHeight
	return c
}

func round(f float64) float64 { return float64(int(f*10+0.5)) / 10 }

// The measures of the chart of days.
const (
	daysHeight = 70
	dayWidth   = 14
	maxDays    = 366
)

// days draws how many findings there were each day.
type days struct {
	Width, Height int
	From, To      time.Time
	Bars          []dayBar
}

type dayBar struct {
	X, Y, Height float64
	Severity     detect.Severity
	Text         string
}

// newDays returns nil if there are not several days, or too many.
func newDays(fs []detect.Finding) *days {
	if len(fs) == 0 {
		return nil
	}
	date := func(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
	from, to := date(fs[0].Time), date(fs[0].Time)
	counts := make(map[time.Time]*[detect.Critical + 1]int)
	most := 0
	for i := range fs {
		d := date(fs[i].Time)
		if d.Before(from) {
			from = d
		}
		if d.After(to) {
			to = d
		}
		if counts[d] == nil {
			counts[d] = new([detect.Critical + 1]int)
		}
		counts[d][min(fs[i].Severity, detect.Critical)]++
		n := 0
		for _, k := range counts[d] {
			n += k
		}
		most = max(most, n)
	}
	n := int(to.Sub(from)/(24*time.Hour)) + 1
	if n < 2 || n > maxDays {
		return nil
	}
	c := &days{Width: n * dayWidth, Height: daysHeight, From: from, To: to}
	for i := range n {
		d := from.AddDate(0, 0, i)
		of := counts[d]
		if of == nil {
			continue
		}
		y := float64(daysHeight)
		for s := detect.Critical; s > detect.Silent; s-- {
			if of[s] == 0 {
				continue
			}
			h := round(float64(of[s]) / float64(most) * (daysHeight - 2))
			y = round(y - h)
			c.Bars = append(c.Bars, dayBar{float64(i * dayWidth), y, h, s, day(d) + ": " + count(of[s], s.String()+" finding")})
		}
	}
	return c
}
