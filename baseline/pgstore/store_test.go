//go:build unix

package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/baseline/baselinetest"
	"github.com/cloudtell/cloudtell/baseline/pgstore"
	"github.com/cloudtell/cloudtell/detect/detecttest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	s := start(t)
	baselinetest.Store(t, func() (baseline.Store, error) { return s.open(), nil })
}

func TestKilled(t *testing.T) {
	baselinetest.Killed(t,
		func() string { return start(t).connection() },
		func(connection string) (baseline.Store, error) {
			return pgstore.Open(context.Background(), connection, nil)
		})
}

// What was saved outlives a kill of the server in the middle of a batch, and of
// that batch all is stored or nothing.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := start(t)
	store := s.open()
	data := func(key string, version uint64) []byte {
		return []byte(strings.Repeat(fmt.Sprintf("%s %d ", key, version), 200))
	}
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
	}
	var saved uint64
	for range 2 {
		killed := make(chan struct{})
		time.AfterFunc(50*time.Millisecond, func() { s.kill(); close(killed) })
		for err := error(nil); err == nil; {
			var records []baseline.Record
			for _, key := range keys {
				records = append(records, baseline.Record{Key: key, Version: saved, Data: data(key, saved+1)})
			}
			if err = store.Save(ctx, records); err == nil {
				saved++
			}
		}
		<-killed
		s.start()
		var records []baseline.Record
		require.Eventually(t, func() (ok bool) { // each old connection fails once
			var err error
			records, err = store.Load(ctx, keys)
			return err == nil
		}, 10*time.Second, 10*time.Millisecond, "the store connects again")
		require.True(t, records[0].Version == saved || records[0].Version == saved+1)
		saved = records[0].Version
		for _, r := range records {
			require.Equal(t, saved, r.Version)
			if saved > 0 {
				require.Equal(t, data(r.Key, saved), r.Data)
			}
		}
	}
}

// Writers of the same keys, each in an order of its own, do not lock each other
// out, and one of them wins each record.
func TestNoDeadlock(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	const writers, keys, rounds = 4, 200, 20
	records := make([]baseline.Record, keys)
	for i := range records {
		records[i] = baseline.Record{Key: fmt.Sprint("key ", i), Data: []byte("x")}
	}
	table := pgstore.Options{Table: "shared"}
	errs := make([]error, writers)
	won := make([]int, writers)
	var wg sync.WaitGroup
	stores := make([]*pgstore.Store, writers)
	for w := range writers {
		stores[w] = s.openTable(table)
	}
	for w := range writers {
		wg.Go(func() {
			mine := slices.Clone(records)
			for round := range rounds {
				for i := range mine {
					mine[i].Version = uint64(round)
				}
				slices.Reverse(mine)
				mine = append(mine[w*7:], mine[:w*7]...)
				err := stores[w].Save(ctx, mine)
				var conflict *baseline.ConflictError
				switch {
				case err == nil:
					won[w] += keys
				case errors.As(err, &conflict):
					won[w] += keys - len(conflict.Keys)
				default:
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	total, versions := 0, uint64(0)
	for _, n := range won {
		total += n
	}
	for r, err := range stores[0].All(ctx) {
		require.NoError(t, err)
		versions += r.Version
	}
	assert.Equal(t, uint64(total), versions, "each save that was not refused counts")
}

// Two processes: the one whose version is stale is refused.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	o := pgstore.Options{Schema: `odd "schema"`, Table: "Odd; table"}
	a, b := s.openTable(o), s.openTable(o)
	require.NoError(t, a.Save(ctx, []baseline.Record{{Key: "k", Data: []byte("1")}}))
	stale, err := b.Load(ctx, []string{"k"})
	require.NoError(t, err)
	require.NoError(t, a.Save(ctx, []baseline.Record{{Key: "k", Version: 1, Data: []byte("2")}}))
	var conflict *baseline.ConflictError
	require.ErrorAs(t, b.Save(ctx, stale), &conflict)
	assert.Equal(t, []string{"k"}, conflict.Keys)
	require.ErrorAs(t, b.Save(ctx, []baseline.Record{{Key: "k", Version: 1 << 63}, {Key: "l", Version: 1<<64 - 1}}), &conflict)
	assert.Equal(t, []string{"k", "l"}, conflict.Keys)

	records, err := s.open().Load(ctx, []string{"k"})
	require.NoError(t, err)
	assert.Equal(t, []baseline.Record{{Key: "k"}}, records)
}

// A batch may be larger than a statement.
func TestLargeBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	t.Parallel()
	ctx, s := t.Context(), start(t)
	store := s.open()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	records := make([]baseline.Record, 25_000)
	keys := make([]string, len(records))
	for i := range records {
		keys[i] = fmt.Sprint(i)
		records[i] = baseline.Record{Key: keys[i], Data: []byte{}}
		if i < 70 {
			records[i].Data = large
		}
	}
	require.NoError(t, store.Save(ctx, records))
	loaded, err := store.Load(ctx, keys)
	require.NoError(t, err)
	for i := range records {
		records[i].Version = 1
	}
	require.Equal(t, records, loaded)

	n := 0
	for r, err := range store.All(ctx) {
		require.NoError(t, err)
		require.Equal(t, uint64(1), r.Version)
		n++
		if n < 10 {
			require.NoError(t, store.Save(ctx, []baseline.Record{r}), "saving meanwhile is no problem")
		}
	}
	assert.Equal(t, len(records), n)
	for range store.All(ctx) {
		break
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	s.do(`create table other (key bytea);
		create table newer (key bytea); comment on table newer is 'cloudtell pgstore, schema 2'`)
	tests := []struct {
		table, want string
	}{
		{"other", `the table's comment is "", this code reads "cloudtell pgstore, schema 1"`},
		{"newer", `the table's comment is "cloudtell pgstore, schema 2", this code reads "cloudtell pgstore, schema 1"`},
	}
	for _, tt := range tests {
		_, err := pgstore.Open(ctx, s.connection(), &pgstore.Options{Table: tt.table})
		require.ErrorIs(t, err, baseline.ErrVersion)
		require.ErrorContains(t, err, `pgstore: open "`+tt.table+`": `+tt.want)
	}
	_, err := pgstore.Open(ctx, "no = connection string", nil)
	require.ErrorContains(t, err, "pgstore: open: ")
	s.kill()
	_, err = pgstore.Open(ctx, s.connection(), nil)
	require.ErrorContains(t, err, `pgstore: open "cloudtell_baselines": `)
}

// A user needs no more privileges than what is to be done takes: none to create
// schemas where there is one, none to create tables where there is one.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	s.do(`create role creator login; create role worker login; create schema given; grant usage, create on schema given to creator;
		grant usage on schema given to worker`)
	as := func(user string) (*pgstore.Store, error) {
		return pgstore.Open(ctx, strings.Replace(s.connection(), "postgres@", user+"@", 1), &pgstore.Options{Schema: "given"})
	}
	_, err := as("worker")
	require.ErrorContains(t, err, "permission denied for schema given")
	store, err := as("creator")
	require.NoError(t, err)
	require.NoError(t, store.Close())
	s.do(`grant select, insert, update on given.cloudtell_baselines to worker`)
	store, err = as("worker")
	require.NoError(t, err)
	defer store.Close()
	for version := range uint64(2) {
		require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k", Version: version}}))
	}
	records, err := store.Load(ctx, []string{"k"})
	require.NoError(t, err)
	require.Equal(t, uint64(2), records[0].Version)
}

// PostgreSQL cuts names that are too long, and would so make one table of two.
func TestLongName(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	long := strings.Repeat("é", 31) + "x"
	store := s.openTable(pgstore.Options{Table: long, Schema: long})
	require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k"}}))
	for _, o := range []pgstore.Options{{Table: long + "y"}, {Schema: long + "y"}, {Table: "a\x00b"}} {
		_, err := pgstore.Open(ctx, s.connection(), &o)
		require.ErrorContains(t, err, "no name")
	}
}

// Several processes may open the store for the first time at once.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	s := start(t)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			store, err := pgstore.Open(t.Context(), s.connection(), &pgstore.Options{Schema: "new"})
			if errs[i] = err; err == nil {
				store.Close()
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

// A call that waits for another transaction ends with its context, and takes
// no effect later.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), start(t)
	store := s.openTable(pgstore.Options{Table: "locked"})
	require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k", Data: []byte("old")}}))
	c, err := pgx.Connect(ctx, s.connection())
	require.NoError(t, err)
	defer c.Close(ctx)
	tx, err := c.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, `select * from locked for update`)
	require.NoError(t, err)

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err = store.Save(short, []baseline.Record{{Key: "k", Version: 1, Data: []byte("new")}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, tx.Rollback(ctx))
	require.NoError(t, store.Save(ctx, []baseline.Record{{Key: "k", Version: 1, Data: []byte("newer")}}))
}

// An engine outlives a server whose disk is full, and one that is gone.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := start(t)
	full := detecttest.Outage{
		Begin: func() { s.limitFiles(1 << 20) }, // the log's files are no larger, the table will be
		End:   func() { s.limitFiles(noLimit) },
		Error: "File too large", Principals: 4000,
	}
	require.NoError(t, detecttest.TestOutage(s.open(), full))
	require.NoError(t, detecttest.TestOutage(s.open(), detecttest.Outage{Begin: s.kill, End: s.start}))
}
