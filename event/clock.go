package event

import "time"

// A clock reads event times. It remembers the day of the last one, because
// nearly all of a file's are on one day.
type clock struct {
	day      [len("2006-01-02T")]byte
	midnight time.Time // when the day began
}

// parse reads a time as [time.Parse] does with [time.RFC3339], and returns it
// in UTC.
func (c *clock) parse(s string) (time.Time, error) {
	const seconds = len("2006-01-02T15:04:05Z")
	if len(s) == seconds && s[:len(c.day)] == string(c.day[:]) && s[13] == ':' && s[16] == ':' && s[19] == 'Z' {
		hour, minute, second := twoDigits(s[11:]), twoDigits(s[14:]), twoDigits(s[17:])
		if hour < 24 && minute < 60 && second < 60 {
			return c.midnight.Add(time.Duration(hour*3600+minute*60+second) * time.Second), nil
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, err
	}
	t = t.UTC()
	if len(s) == seconds && s[19] == 'Z' {
		copy(c.day[:], s)
		c.midnight = t.Truncate(24 * time.Hour)
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
