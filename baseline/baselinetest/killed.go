package baselinetest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloudtell/cloudtell/baseline"
)

// Killed kills a process with SIGKILL while it saves batches, several times
// over, and checks that every record is then as before the batch or as after
// it, and that no batch is lost whose Save had returned.
//
// The process is the test's own binary, which runs the calling test up to this
// call: make it the first one of its test. place is called in the test's
// process only, once; it returns where the store is, such as a path or an
// address. open opens the store there, in both processes. A store that
// implements [io.Closer] is closed.
func Killed(t *testing.T, place func() string, open func(place string) (baseline.Store, error)) {
	t.Helper()
	saveUntilKilled(t.Name(), open)
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	if err := killed(t.Name(), place(), open, rounds); err != nil {
		t.Error(err)
	}
}

// The environment of the process that is killed: whose it is, and its store.
const (
	killedTest  = "BASELINETEST_KILLED_TEST"
	killedPlace = "BASELINETEST_KILLED_PLACE"
)

// A batch of the process that is killed: each record's data tells its key and
// version.
const (
	killedKeys = 64
	killedSize = 2 << 10
)

func killedBatch(records []baseline.Record) []baseline.Record {
	batch := make([]baseline.Record, len(records))
	for i, r := range records {
		batch[i] = baseline.Record{Key: r.Key, Version: r.Version, Data: killedData(r.Key, r.Version+1)}
	}
	return batch
}

func killedData(key string, version uint64) []byte {
	line := fmt.Appendf(nil, "%s, version %d\n", key, version)
	return bytes.Repeat(line, killedSize/len(line))
}

// saveUntilKilled, in the process started for the test, saves batch after
// batch and writes a line after each. In other processes it does nothing.
func saveUntilKilled(test string, open func(place string) (baseline.Store, error)) {
	if os.Getenv(killedTest) != test {
		return
	}
	go func() { // the pipe ends with the process at its other end
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	s, err := open(os.Getenv(killedPlace))
	for err == nil {
		var records []baseline.Record
		if records, err = loadKilled(s); err == nil {
			err = s.Save(background, killedBatch(records))
			switch {
			case err == nil:
				fmt.Println(savedLine)
			case errors.As(err, new(*baseline.ConflictError)): // what a process before had begun came between
				err = nil
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const savedLine = "saved"

func loadKilled(s baseline.Store) ([]baseline.Record, error) {
	keys := make([]string, killedKeys)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
	}
	return s.Load(background, keys)
}

func killed(test, place string, open func(place string) (baseline.Store, error), rounds int) error {
	rng := newRand()
	before := make([]baseline.Record, killedKeys)
	all := uint64(0) // saves that returned
	for round := range rounds {
		saved, err := killOne(test, place, 1+rng.IntN(5), rng)
		if err != nil {
			return err
		}
		after, err := settled(place, open)
		if err != nil {
			return fmt.Errorf("after kill %d: %w", round+1, err)
		}
		all += saved
		for i, r := range after {
			// Each process may have begun one save more. A busy server may complete
			// that of a process before when its records seemed to have settled.
			if most := all + uint64(round) + 1; r.Version < before[i].Version+saved || r.Version > most {
				return fmt.Errorf("kill %d: %q has version %d, not %d to %d; it was %d before %d saves that returned and one that may have begun",
					round+1, r.Key, r.Version, before[i].Version+saved, most, before[i].Version, saved)
			}
			if r.Version > 0 && !bytes.Equal(r.Data, killedData(r.Key, r.Version)) || r.Version == 0 && r.Data != nil {
				return fmt.Errorf("kill %d: %q is torn: version %d with %s", round+1, r.Key, r.Version, show(r.Data))
			}
		}
		before = after
	}
	return nil
}

// killOne starts the process, kills it a moment after it has saved some
// batches, and returns how many it has saved in all.
func killOne(test, place string, batches int, rng *rand.Rand) (saved uint64, err error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// It saves for milliseconds; a process that does not get there is an error.
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^"+strings.ReplaceAll(regexp.QuoteMeta(test), "/", "$/^")+"$")
	cmd.Env = append(os.Environ(), killedTest+"="+test, killedPlace+"="+place)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var other string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() != savedLine {
			other = cmp.Or(other, lines.Text())
			continue
		}
		if saved++; saved == uint64(batches) {
			time.AfterFunc(time.Duration(rng.IntN(10_000))*time.Microsecond, cancel) // which kills
		}
	}
	err = cmd.Wait()
	if saved < uint64(batches) {
		return 0, fmt.Errorf("the process to be killed ended by itself: %w: %s %s", err, other, stderr.Bytes())
	}
	return saved, nil
}

// settled loads the records when they have stopped changing: a server may
// still be at work on what it had received from a process that is gone.
func settled(place string, open func(place string) (baseline.Store, error)) (records []baseline.Record, err error) {
	s, err := open(place)
	if err != nil {
		return nil, err
	}
	if c, ok := s.(io.Closer); ok {
		defer func() { err = cmp.Or(err, c.Close()) }()
	}
	for range 100 {
		before := records
		if records, err = loadKilled(s); err != nil || reflect.DeepEqual(before, records) {
			return records, err
		}
		moment, cancel := context.WithTimeout(background, 20*time.Millisecond)
		<-moment.Done()
		cancel()
	}
	return nil, fmt.Errorf("the records go on changing")
}
