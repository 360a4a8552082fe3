package baselinetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/event"
)

// practice are two weeks of one user, with nights, weekends and bursts.
func practice(t *testing.T) []*event.Event {
	t.Helper()
	var events []*event.Event
	at := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	for i := range 400 {
		switch {
		case i%40 == 0:
			at = at.Add(11*time.Hour + 59*time.Minute)
		case i%10 == 0:
			at = at.Add(25 * time.Minute)
		default:
			at = at.Add(20 * time.Second)
		}
		name := "GetObject"
		if i%7 == 0 {
			name = "PutObject"
		}
		e, err := event.Parse(fmt.Sprintf(`{"eventVersion":"1.11","eventID":"%08x-0000-4000-8000-000000000001","eventTime":%q,
			"eventSource":"s3.amazonaws.com","eventName":%q,"awsRegion":"us-east-1","sourceIPAddress":"198.51.100.%d",
			"userAgent":"[agent/%d]","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","accountId":"111122223333",
			"arn":"arn:aws:iam::111122223333:user/alice","accessKeyId":"AKIAEXAMPLE","userName":"alice"},
			"requestParameters":{"bucketName":"data","key":"k%d"},"recipientAccountId":"111122223333"}`,
			i, at.Format(time.RFC3339), name, i%9, i%5, i%11))
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

func key(e *event.Event) string { return e.ObjectKey() }

func TestBuiltInFeatures(t *testing.T) {
	events := practice(t)
	one := func(*event.Event) int64 { return 1 }
	is := func(name string) func(*event.Event) bool {
		return func(e *event.Event) bool { return e.Operation == name }
	}
	for _, f := range []baseline.Feature{
		baseline.FirstSeen("key", key, nil),
		baseline.FirstSeen("key", key, nil).On("s3:GetObject"),
		baseline.FirstSeen("key", key, &baseline.FirstSeenOptions{Cap: 16, Learn: baseline.Day, Days: 2, Span: 2 * baseline.Day, Retain: 3 * baseline.Day}),
		baseline.Distinct("key", key, 20, time.Minute),
		baseline.Distinct("key", key, 20, 10*time.Minute),
		baseline.Distinct("key", key, 20, baseline.Day),
		baseline.Distinct("key", key, 20, 30*baseline.Day),
		baseline.Rate("calls", one, time.Minute),
		baseline.Rate("calls", one, 7*time.Minute),
		baseline.Rate("calls", one, time.Hour),
		baseline.Rate("bytes", func(e *event.Event) int64 { return int64(len(e.Text)) << 50 }, time.Hour),
		baseline.Sequence("put, then get", 10*time.Minute, is("PutObject"), is("GetObject")),
		baseline.Sequence("put, then get", baseline.Day, is("PutObject"), is("GetObject"), is("PutObject")),
		baseline.LastSeen("put", is("PutObject")),
	} {
		t.Run(f.ID(), func(t *testing.T) { Feature(t, f, events) })
	}
	require.NoError(t, TestFeature(baseline.LastSeen("get", is("GetObject")), events))
}

// A counter is a cell that counts, in eight bytes, and keeps its contract. Its
// hooks make mistakes.
type counter struct {
	n      uint64
	twice  bool // counts a value twice
	fold   func(c *counter, e *event.Event, now time.Time)
	encode func(c *counter, b []byte) ([]byte, error)
	decode func(c *counter, b []byte) error
}

func (c *counter) Fold(e *event.Event, now time.Time) {
	if c.fold != nil {
		c.fold(c, e, now)
		return
	}
	c.n++
}

func (c *counter) FoldValue(_ string, _ uint64, e *event.Event, now time.Time) {
	c.Fold(e, now)
	if c.twice {
		c.Fold(e, now)
	}
}

func (c *counter) AppendBinary(b []byte) ([]byte, error) {
	if c.encode != nil {
		return c.encode(c, b)
	}
	return binary.BigEndian.AppendUint64(b, c.n), nil
}

func (c *counter) UnmarshalBinary(b []byte) error {
	if c.decode != nil {
		return c.decode(c, b)
	}
	if len(b) != 8 {
		return errors.New("not eight bytes")
	}
	c.n = binary.BigEndian.Uint64(b)
	return nil
}

func feature(newCell func() *counter) baseline.Feature {
	return baseline.Custom("counter", 8, newCell, func(c *counter, _ *baseline.View) uint64 { return c.n }).WhereValue(key)
}

func TestACorrectCellPasses(t *testing.T) {
	require.NoError(t, TestFeature(feature(func() *counter { return &counter{} }), practice(t)))
}

func TestPlantedCellMistakes(t *testing.T) {
	var mu sync.Mutex // so that not the race detector finds the mistake
	shared := &counter{fold: func(c *counter, _ *event.Event, _ time.Time) {
		mu.Lock()
		defer mu.Unlock()
		c.n++
	}}
	var random uint64
	tests := []struct {
		name string
		line int
		cell func() *counter
	}{
		{"all cells are one", 1, func() *counter { return shared }},
		{"the last to come is the latest", 2, func() *counter {
			return &counter{fold: func(c *counter, e *event.Event, _ time.Time) { c.n = uint64(e.Time.Unix()) }}
		}},
		{"remembers how late an event was", 2, func() *counter {
			return &counter{fold: func(c *counter, e *event.Event, now time.Time) { c.n += uint64(now.Sub(e.Time)) + 1 }}
		}},
		{"modifies the event", 2, func() *counter {
			return &counter{fold: func(c *counter, e *event.Event, _ time.Time) {
				c.n++
				e.UserAgent = strings.ToUpper(e.UserAgent)
			}}
		}},
		{"keeps the event", 2, func() *counter {
			var kept *event.Event
			return &counter{
				fold: func(c *counter, e *event.Event, _ time.Time) {
					if c.n++; c.n == 1 {
						kept = e
					}
				},
				encode: func(c *counter, b []byte) ([]byte, error) {
					if c.n == 0 {
						return append(b, make([]byte, 8)...), nil
					}
					return binary.BigEndian.AppendUint64(b, uint64(kept.Time.Unix())), nil
				},
			}
		}},
		{"grows and grows", 3, func() *counter {
			return &counter{encode: func(c *counter, b []byte) ([]byte, error) { return append(b, make([]byte, c.n/100)...), nil }}
		}},
		{"fails to encode", 3, func() *counter {
			return &counter{encode: func(c *counter, b []byte) ([]byte, error) {
				if c.n > 1000 {
					return b, errors.New("too much")
				}
				return binary.BigEndian.AppendUint64(b, c.n), nil
			}}
		}},
		{"overwrites what is there", 3, func() *counter {
			return &counter{encode: func(c *counter, b []byte) ([]byte, error) { return binary.BigEndian.AppendUint64(b[:0], c.n), nil }}
		}},
		{"writes in an order of chance", 4, func() *counter {
			return &counter{encode: func(c *counter, b []byte) ([]byte, error) {
				random++
				return binary.BigEndian.AppendUint64(b, c.n+random), nil
			}}
		}},
		{"forgets when it is saved", 4, func() *counter {
			return &counter{encode: func(c *counter, b []byte) ([]byte, error) {
				n := c.n
				c.n = 0
				return binary.BigEndian.AppendUint64(b, n), nil
			}}
		}},
		{"does not restore all", 5, func() *counter {
			return &counter{decode: func(c *counter, b []byte) error {
				if len(b) != 8 {
					return errors.New("not eight bytes")
				}
				c.n = uint64(b[7])
				return nil
			}}
		}},
		{"refuses its own bytes", 5, func() *counter {
			return &counter{decode: func(*counter, []byte) error { return errors.New("no") }}
		}},
		{"keeps the bytes that it was given", 5, func() *counter {
			var lent []byte
			return &counter{
				encode: func(c *counter, b []byte) ([]byte, error) {
					n := c.n
					if lent != nil {
						n += binary.BigEndian.Uint64(lent)
					}
					return binary.BigEndian.AppendUint64(b, n), nil
				},
				decode: func(c *counter, b []byte) error {
					if len(b) != 8 {
						return errors.New("not eight bytes")
					}
					c.n, lent = 0, b
					return nil
				},
			}
		}},
		{"panics on garbage", 6, func() *counter {
			return &counter{decode: func(c *counter, b []byte) error {
				c.n = binary.BigEndian.Uint64(b[:8])
				return nil
			}}
		}},
		{"changes before it refuses", 6, func() *counter {
			return &counter{decode: func(c *counter, b []byte) error {
				if len(b) > 0 {
					c.n = uint64(b[0])
				}
				if len(b) != 8 {
					return errors.New("not eight bytes")
				}
				c.n = binary.BigEndian.Uint64(b)
				return nil
			}}
		}},
		{"believes a forged length", 6, func() *counter {
			return &counter{decode: func(c *counter, b []byte) error {
				if len(b) != 8 {
					return errors.New("not eight bytes")
				}
				n := binary.BigEndian.Uint64(b)
				values := make([]byte, n%(1<<24))
				c.n = n + uint64(len(values))*0
				return nil
			}}
		}},
		{"takes what it cannot hold", 6, func() *counter {
			c := &counter{}
			c.encode = func(c *counter, b []byte) ([]byte, error) {
				if c.n > 1<<40 {
					b = append(b, 0)
				}
				return binary.BigEndian.AppendUint64(b, c.n), nil
			}
			return c
		}},
		{"takes a value for two events", 7, func() *counter { return &counter{twice: true} }},
	}
	covered := make(map[int]bool)
	for _, tt := range tests {
		covered[tt.line] = true
		t.Run(fmt.Sprintf("%d %s", tt.line, tt.name), func(t *testing.T) {
			l := cellLines[tt.line-1]
			tr, err := newTrial(feature(tt.cell), practice(t))
			require.NoError(t, err)
			err = l.check(tr)
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("%d. %s: ", tt.line, l.sentence)), err)
		})
	}
	for _, l := range cellLines {
		assert.True(t, covered[l.number], "no mistake is planted for line %d", l.number)
	}
}

func TestFeaturesThatCannotBeTried(t *testing.T) {
	events := practice(t)
	good := feature(func() *counter { return &counter{} })
	tests := []struct {
		name    string
		feature baseline.Feature
		events  []*event.Event
		want    string
	}{
		{"no events", good, nil, "no events"},
		{"no events that it asks for", baseline.FirstSeen("key", key, nil).On("ec2:*"), events, "no events"},
		{"events that mean nothing to it", baseline.FirstSeen("none", func(*event.Event) string { return "" }, nil), events, "leave it empty"},
		{"no id", nameless{good}, events, "ID"},
		{"no size", sizeless{good}, events, "MaxBytes"},
		{"bad patterns", baseline.FirstSeen("key", key, nil).On("s3"), events, "pattern"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, TestFeature(tt.feature, tt.events), tt.want)
		})
	}
}

type nameless struct{ baseline.Feature }

func (nameless) ID() string { return "" }

type sizeless struct{ baseline.Feature }

func (sizeless) MaxBytes() int { return 0 }
