package baselinetest

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
)

// A textFile keeps records in a file of JSON, one in a line. It writes the
// file as write does.
type textFile struct {
	baseline.Memory
	path  string
	write func(path string, text []byte) error
}

func (s *textFile) Save(ctx context.Context, records []baseline.Record) error {
	if err := s.Memory.Save(ctx, records); err != nil {
		return err
	}
	var text []byte
	for r := range s.All() {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	return s.write(s.path, text)
}

func openText(path string, write func(path string, text []byte) error) (baseline.Store, error) {
	s := &textFile{path: path, write: write}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for in := json.NewDecoder(f); in.More(); {
		var r baseline.Record
		if err := in.Decode(&r); err != nil {
			return nil, err
		}
		for v := range r.Version { // as often as it was saved
			if err := s.Memory.Save(background, []baseline.Record{{Key: r.Key, Version: v, Data: r.Data}}); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func TestKilled(t *testing.T) {
	Killed(t,
		func() string { return filepath.Join(t.TempDir(), "records") },
		func(path string) (baseline.Store, error) { return openText(path, replaceFile) })
}

// The kit finds stores that a kill damages.
func TestPlantedKilledMistakes(t *testing.T) {
	tests := []struct {
		name  string
		write func(path string, text []byte) error
		want  string
	}{
		{"writes in place", func(path string, text []byte) error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := f.Write(text[:len(text)/2]); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
			_, err = f.Write(text[len(text)/2:])
			return err
		}, "kill"}, // torn, or lost
		{"writes some time later", func(path string, text []byte) error {
			time.AfterFunc(time.Second, func() { replaceFile(path, text) })
			return nil
		}, "saves that returned"},
		{"writes what it was not given", func(path string, text []byte) error {
			text[len(text)/2] ^= 1
			return replaceFile(path, text)
		}, ""},
		{"fails", func(string, []byte) error { return errors.New("no disk") }, "no disk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			open := func(path string) (baseline.Store, error) { return openText(path, tt.write) }
			saveUntilKilled(t.Name(), open)
			err := killed(t.Name(), filepath.Join(t.TempDir(), "records"), open, 10)
			require.Error(t, err)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}
