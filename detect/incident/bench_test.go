package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/incident"
	"github.com/cloudtell/cloudtell/event"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

// full returns a joiner with no room left: findings of 1,000 principals over 30
// days, and as many links as fit.
func full(b *testing.B) *incident.Joiner {
	j := joiner(b, nil)
	template := assume(b, eventtest.User(account, "alice"), at(0), "deploy", "s", "ASIAEXAMPLE")
	for i := range 50_000 {
		e := *template
		e.Time = e.Time.Add(time.Duration(i) * time.Minute)
		e.Response = event.Raw(fmt.Sprintf(`{"credentials":{"accessKeyId":"ASIA%012d"}}`, i))
		j.Observe(&e)
	}
	for i := range 10_000 {
		j.Add(benchFinding(i))
	}
	return j
}

func benchFinding(i int) detect.Finding {
	return with(found(fmt.Sprintf("%032d", i), "T1580", detect.Severity(1+i%4), user(fmt.Sprint("user", i%1000)), at(float64(i)*0.07)), func(f *detect.Finding) {
		f.AccessKeyID, f.SourceAddress = fmt.Sprintf("ASIA%012d", i*4), fmt.Sprint("203.0.113.", i%200)
		f.AboutSource = i%50 == 0
	})
}

func BenchmarkAdd(b *testing.B) {
	j := full(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Add(benchFinding(10_000 + i))
	}
}

func BenchmarkIncidents(b *testing.B) {
	j := full(b)
	b.ReportAllocs()
	for b.Loop() {
		j.Incidents()
	}
}

func BenchmarkObserve(b *testing.B) {
	j := full(b)
	get := eventtest.Record{Call: "s3:GetObject"}.Event(b)
	link := assume(b, eventtest.User(account, "alice"), at(10_000), "deploy", "s", "ASIAEXAMPLE")
	b.Run("another event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			j.Observe(get)
		}
	})
	b.Run("AssumeRole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			link.Time = link.Time.Add(time.Second)
			j.Observe(link)
		}
	})
}

func BenchmarkAppendBinary(b *testing.B) {
	j := full(b)
	var record []byte
	b.ReportAllocs()
	for b.Loop() {
		record, _ = j.AppendBinary(record[:0])
	}
	b.ReportMetric(float64(len(record)), "record-bytes")
}
