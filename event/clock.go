package event

import (
	"fmt"
	"time"
)

// Records dated outside these years come from a broken clock.
var (
	earliest = time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func plausible(t time.Time) error {
	if t.Before(earliest) || !t.Before(latest) {
		return fmt.Errorf("%w: dated %s", ErrTime, t.Format(time.DateOnly))
	}
	return nil
}

// A clock reads event times. It remembers the day of the last one, because
// nearly all of a file's are on one day.
type clock struct {
	day      [len("2006-01-02T")]byte
	midnight int64 // when the day began, in Unix seconds
}

// parse reads an RFC 3339 time, which must be plausible, and returns it in UTC.
func (c *clock) parse(s string) (time.Time, error) {
	const seconds = len("2006-01-02T15:04:05Z")
	if len(s) == seconds && s[:len(c.day)] == string(c.day[:]) && s[13] == ':' && s[16] == ':' && s[19] == 'Z' {
		hour, minute, second := twoDigits(s[11:]), twoDigits(s[14:]), twoDigits(s[17:])
		if hour < 24 && minute < 60 && second < 60 {
			return time.Unix(c.midnight+int64(hour*3600+minute*60+second), 0).UTC(), nil
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: eventTime is not RFC 3339", ErrTime)
	}
	t = t.UTC()
	if err := plausible(t); err != nil {
		return time.Time{}, err
	}
	if len(s) == seconds && s[19] == 'Z' {
		copy(c.day[:], s)
		c.midnight = t.Truncate(24 * time.Hour).Unix()
	}
	return t, nil
}

// twoDigits returns the number that s starts with, 100 or more if it is none.
func twoDigits(s string) int {
	tens, units := s[0]-'0', s[1]-'0'
	if tens > 9 || units > 9 {
		return 100
	}
	return int(tens)*10 + int(units)
}
