// Package pgstore keeps baselines in PostgreSQL: a [baseline.Store] for
// several processes, through github.com/jackc/pgx.
//
// A batch is one statement, which compares and swaps each of its records.
package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cloudtell/cloudtell/baseline"
)

const (
	defaultTable = "cloudtell_baselines"
	schema       = 1
	maxName      = 63 // bytes; PostgreSQL cuts longer ones, so that two could be one
)

// cancelTimeout is how long a cancelled call waits for the server.
const cancelTimeout = 2 * time.Second

// Options configures a [Store]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Schema is the PostgreSQL schema of the table, which is created if needed.
	// The default is the first one of the connection's search path.
	Schema string
	// Table is the name of the table, which is created if needed. The default
	// is "cloudtell_baselines".
	Table string
}

// A Store is a [baseline.Store] in a table of a PostgreSQL database. Any number
// of goroutines and processes may use it.
type Store struct {
	pool             *pgxpool.Pool
	load, save, page string // statements
}

var _ baseline.Store = (*Store)(nil)

// Open connects to the database that a connection string names, as psql and
// pgxpool take it, and creates the table if it does not exist. It returns an
// error that wraps [baseline.ErrVersion] if the table was made by code of
// another schema than this code knows.
func Open(ctx context.Context, connection string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	config, err := pgxpool.ParseConfig(connection)
	if err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	// A cancelled call asks the server to stop and waits for what it says:
	// otherwise a statement could take effect after its Save has failed.
	config.ConnConfig.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cancelTimeout}
	}
	name := pgx.Identifier{cmp.Or(o.Table, defaultTable)}
	if o.Schema != "" {
		name = append(pgx.Identifier{o.Schema}, name...)
	}
	for _, part := range name {
		if len(part) > maxName || strings.Contains(part, "\x00") {
			return nil, fmt.Errorf("pgstore: open: %q is no name: PostgreSQL's have at most %d bytes, none of them 0", part, maxName)
		}
	}
	table := name.Sanitize()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pgstore: open: %w", err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return prepare(ctx, tx, o.Schema, table) })
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("pgstore: open %s: %w", table, err)
	}
	return &Store{
		pool: pool,
		load: `select k.n, t.version, t.data
			from unnest($1::bytea[]) with ordinality as k(key, n)
			join ` + table + ` as t on t.id = sha256(k.key)`,
		save: `insert into ` + table + ` as t (key, version, data)
			select r.key, r.version + 1, r.data
			from unnest($1::bytea[], $2::bigint[], $3::bytea[]) as r(key, version, data)
			left join ` + table + ` as s on s.id = sha256(r.key)
			where r.version = coalesce(s.version, 0)
			order by r.key
			on conflict (id) do update
			set version = excluded.version, data = excluded.data, saved = excluded.saved
			where t.version = excluded.version - 1
			returning t.key`,
		page: `select id, key, version, data from ` + table + ` where id > $1 order by id limit ` + strconv.Itoa(pageSize),
	}, nil
}

// prepare creates the table, or checks the schema of the one there is. The
// schema's version is in the table's comment. Keys may be of any bytes and any
// length, which an index cannot hold, so the primary key is their hash.
func prepare(ctx context.Context, tx pgx.Tx, schemaName, table string) error {
	// One at a time: "if not exists" is no protection against others who create.
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('cloudtell pgstore'))`); err != nil {
		return err
	}
	var exists bool
	if err := tx.QueryRow(ctx, `select to_regclass($1) is not null`, table).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		create := ""
		if schemaName != "" {
			name := pgx.Identifier{schemaName}.Sanitize()
			// "if not exists" asks for the privilege to create one even where it does.
			var missing bool
			if err := tx.QueryRow(ctx, `select to_regnamespace($1) is null`, name).Scan(&missing); err != nil {
				return err
			}
			if missing {
				create = `create schema if not exists ` + name + `; `
			}
		}
		_, err := tx.Exec(ctx, create+`
			create table `+table+` (
				id      bytea       primary key generated always as (sha256(key)) stored,
				key     bytea       not null,
				version bigint      not null,
				data    bytea       not null,
				saved   timestamptz not null default now()
			);
			alter table `+table+` alter column data set storage external;
			comment on table `+table+` is '`+comment(schema)+`'`)
		return err
	}
	var stored string
	if err := tx.QueryRow(ctx, `select coalesce(obj_description(to_regclass($1), 'pg_class'), '')`, table).Scan(&stored); err != nil {
		return err
	}
	if stored != comment(schema) {
		return fmt.Errorf("the table's comment is %.80q, this code reads %q: %w", stored, comment(schema), baseline.ErrVersion)
	}
	return nil
}

func comment(schema int) string { return fmt.Sprint("cloudtell pgstore, schema ", schema) }

// Close closes the connections. It waits for calls in progress.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// A statement carries at most so many records and bytes of data; a larger
// batch is several. PostgreSQL takes no more than a gigabyte.
const (
	maxRecords = 10_000
	maxBytes   = 64 << 20
)

// Load implements [baseline.Store].
func (s *Store) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pgstore: load: %w", err)
	}
	records := make([]baseline.Record, 0, len(keys))
	for some := range slices.Chunk(keys, maxRecords) {
		names := make([][]byte, len(some))
		first := len(records)
		for i, key := range some {
			names[i] = []byte(key)
			records = append(records, baseline.Record{Key: key})
		}
		rows, err := s.pool.Query(ctx, s.load, names)
		if err == nil {
			var n, version int64
			var data []byte
			_, err = pgx.ForEachRow(rows, []any{&n, &version, &data}, func() error {
				r := &records[first+int(n)-1]
				r.Version, r.Data = uint64(version), data
				return nil
			})
		}
		if err != nil {
			return nil, fmt.Errorf("pgstore: load %d records: %w", len(keys), because(ctx, err))
		}
	}
	return records, nil
}

// Save implements [baseline.Store]. A statement stores all of its records that
// it does not refuse, or none; batches of over 10,000 records or 64 MiB are
// several statements.
func (s *Store) Save(ctx context.Context, records []baseline.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("pgstore: save: %w", err)
	}
	stored := make(map[string]bool, len(records)) // has each key that was tried
	for rest := records; len(rest) > 0; {
		var keys, data [][]byte
		var versions []int64
		for size := 0; len(rest) > 0 && len(keys) < maxRecords && size < maxBytes; rest = rest[1:] {
			r := rest[0]
			if _, tried := stored[r.Key]; tried || r.Version >= math.MaxInt64 {
				continue
			}
			stored[r.Key] = false
			keys, versions, data = append(keys, []byte(r.Key)), append(versions, int64(r.Version)), append(data, notNil(r.Data))
			size += len(r.Key) + len(r.Data)
		}
		rows, err := s.pool.Query(ctx, s.save, keys, versions, data)
		if err == nil {
			var key []byte
			_, err = pgx.ForEachRow(rows, []any{&key}, func() error {
				stored[string(key)] = true
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("pgstore: save %d records: %w", len(records), because(ctx, err))
		}
	}
	var conflict baseline.ConflictError
	for _, r := range records {
		if !stored[r.Key] {
			conflict.Keys = append(conflict.Keys, r.Key)
		}
		stored[r.Key] = false // for the second of one key
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// notNil returns the data as bytes that are not the database's null.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// because returns the error, with the context's if that is why.
func because(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// pageSize is the number of records that All reads at a time.
const pageSize = 1000

// All returns the records, in no particular order. It reads some at a time:
// records saved meanwhile may come old or new, and whoever iterates may save.
// An error ends the iteration.
func (s *Store) All(ctx context.Context) iter.Seq2[baseline.Record, error] {
	return func(yield func(baseline.Record, error) bool) {
		for last := []byte{}; ; {
			rows, err := s.pool.Query(ctx, s.page, last)
			if err != nil {
				yield(baseline.Record{}, fmt.Errorf("pgstore: read all: %w", because(ctx, err)))
				return
			}
			page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r baseline.Record, err error) {
				var key []byte
				err = row.Scan(&last, &key, &r.Version, &r.Data)
				r.Key = string(key)
				return r, err
			})
			if err != nil {
				yield(baseline.Record{}, fmt.Errorf("pgstore: read all: %w", because(ctx, err)))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}
